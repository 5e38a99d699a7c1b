// Tokens from zhongkong with nothing but Go's own library.
//
//	tokens := &Tokens{URL: os.Getenv("ZHONGKONG_URL"), Key: os.Getenv("ZHONGKONG_KEY")}
//	token, err := tokens.Get("weixin")             // from memory while it lives
//	token, err = tokens.Refused("weixin", token)   // the platform refused this one (40001, 42001, 401): the new one
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// keep: ask again after a minute, so that what was replaced early is not kept for long; sooner if less is left.
const keep = time.Minute

// NoToken says that the server has no token for us, and why. RetryAfter is in seconds; 0 where waiting does not help.
type NoToken struct {
	Detail     string
	RetryAfter int
}

func (problem *NoToken) Error() string { return problem.Detail }

type held struct {
	token      string
	version    int64
	askAgainAt time.Time // Go's times hold the monotonic clock
	deadAt     time.Time
}

// Tokens may be used by any number of goroutines.
type Tokens struct {
	URL, Key string

	mutex sync.Mutex
	held  map[string]held
}

var client = &http.Client{Timeout: 10 * time.Second}

// Get gives the living token. One request for all goroutines: whoever waits finds the answer.
func (tokens *Tokens) Get(name string) (string, error) {
	tokens.mutex.Lock()
	defer tokens.mutex.Unlock()
	now, known := tokens.held[name]
	if known && time.Now().Before(now.askAgainAt) {
		return now.token, nil
	}
	token, err := tokens.ask(name, "GET", "", nil)
	// The server is away or has trouble: a token that lives is as good as before.
	var refusal *NoToken
	isPassing := err != nil && (!errors.As(err, &refusal) || refusal.RetryAfter > 0)
	if isPassing && known && time.Now().Before(now.deadAt) {
		return now.token, nil
	}
	return token, err
}

// Refused says which token was refused. Any number of programs that do so cost one fetch.
func (tokens *Tokens) Refused(name, token string) (string, error) {
	tokens.mutex.Lock()
	defer tokens.mutex.Unlock()
	if now, known := tokens.held[name]; known && now.token != token && time.Now().Before(now.deadAt) {
		return now.token, nil // another goroutine was faster
	}
	return tokens.ask(name, "POST", "/refresh", map[string]string{"stale": token})
}

func (tokens *Tokens) ask(name, method, rest string, body any) (string, error) {
	var sent []byte
	if body != nil {
		sent, _ = json.Marshal(body)
	}
	address := strings.TrimRight(tokens.URL, "/") + "/v1/tokens/" + url.PathEscape(name) + rest
	request, err := http.NewRequest(method, address, bytes.NewReader(sent))
	if err != nil {
		return "", err
	}
	if tokens.Key != "" {
		request.Header.Set("Authorization", "Bearer "+tokens.Key)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	askedAt := time.Now()
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var told struct {
		Token     string  `json:"token"`
		Version   int64   `json:"version"`
		ExpiresIn float64 `json:"expires_in"`
		Detail    string  `json:"detail"`
	}
	err = json.NewDecoder(answer.Body).Decode(&told)
	if answer.StatusCode != http.StatusOK {
		retryAfter, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		if told.Detail == "" {
			told.Detail = answer.Status
		}
		return "", &NoToken{told.Detail, retryAfter}
	}
	if err != nil {
		return "", err
	}
	// Versions never go back, even if a late answer comes last.
	if now, known := tokens.held[name]; known && told.Version < now.version && time.Now().Before(now.deadAt) {
		return now.token, nil
	}
	left := time.Duration(told.ExpiresIn * float64(time.Second))
	again := left * 4 / 5
	if again > keep {
		again = keep
	}
	if tokens.held == nil {
		tokens.held = map[string]held{}
	}
	tokens.held[name] = held{told.Token, told.Version, askedAt.Add(again), askedAt.Add(left)}
	return told.Token, nil
}

func main() {
	source, address := "weixin", os.Getenv("ZHONGKONG_URL")
	if len(os.Args) > 1 {
		source = os.Args[1]
	}
	if address == "" {
		address = "http://127.0.0.1:8888"
	}
	tokens := &Tokens{URL: address, Key: os.Getenv("ZHONGKONG_KEY")}
	first, err := tokens.Get(source)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	again, _ := tokens.Get(source)
	fmt.Printf("%s: %s…, from memory: %t\n", source, first[:6], again == first)
	next, err := tokens.Refused(source, first)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("after a report: %s…\n", next[:6])
	if _, err := tokens.Get("nobody"); err != nil {
		fmt.Printf("nobody: %s\n", err)
	}
}

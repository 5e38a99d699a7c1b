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

// away: a server that is away is not asked for so long about tokens that live: one that hangs would hold up every call.
const away = 5 * time.Second

// NoToken says that the server has no token for us, and why. RetryAfter is in seconds, 0 where it said none; IsPassing
// says that waiting may help.
type NoToken struct {
	Detail     string
	RetryAfter int
	IsPassing  bool
}

func (problem *NoToken) Error() string { return problem.Detail }

type held struct {
	token      string
	version    int64
	issuedAt   int64
	askAgainAt time.Time // Go's times hold the monotonic clock
	deadAt     time.Time
}

// Tokens may be used by any number of goroutines.
type Tokens struct {
	URL, Key string

	asking    sync.Mutex // held while the server is asked
	awayUntil time.Time

	mutex sync.Mutex // held while the map is looked at
	held  map[string]held
}

// The client goes nowhere else with the key, wherever an answer points.
var client = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Get gives the living token. One request for all goroutines: whoever has no token waits for it, all others go on with
// the one that lives.
func (tokens *Tokens) Get(name string) (string, error) {
	now, known := tokens.look(name)
	if known && time.Now().Before(now.askAgainAt) {
		return now.token, nil
	}
	if !tokens.asking.TryLock() {
		if known && time.Now().Before(now.deadAt) {
			return now.token, nil
		}
		tokens.asking.Lock()
	}
	defer tokens.asking.Unlock()
	now, known = tokens.look(name)
	isAway := time.Now().Before(tokens.awayUntil) && time.Now().Before(now.deadAt)
	if known && (isAway || time.Now().Before(now.askAgainAt)) {
		return now.token, nil
	}
	token, err := tokens.ask(name, "GET", "", nil)
	// The server is away or has trouble: a token that lives is as good as before.
	var refusal *NoToken
	if err != nil && (!errors.As(err, &refusal) || refusal.IsPassing) {
		tokens.awayUntil = time.Now().Add(away)
		if known && time.Now().Before(now.deadAt) {
			return now.token, nil
		}
	}
	return token, err
}

// Refused says which token was refused. Any number of programs that do so cost one fetch.
func (tokens *Tokens) Refused(name, token string) (string, error) {
	tokens.asking.Lock()
	defer tokens.asking.Unlock()
	if now, known := tokens.look(name); known && now.token != token && time.Now().Before(now.deadAt) {
		return now.token, nil // another goroutine was faster
	}
	return tokens.ask(name, "POST", "/refresh", map[string]string{"stale": token})
}

func (tokens *Tokens) look(name string) (held, bool) {
	tokens.mutex.Lock()
	defer tokens.mutex.Unlock()
	now, known := tokens.held[name]
	return now, known
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
		IssuedAt  int64   `json:"issued_at"`
		ExpiresIn float64 `json:"expires_in"`
		Code      string  `json:"code"`
		Detail    string  `json:"detail"`
	}
	err = json.NewDecoder(answer.Body).Decode(&told)
	if answer.StatusCode != http.StatusOK {
		retryAfter, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		// Only zhongkong says a code. Whatever else answers stands between, and may be mended soon.
		if told.Code == "" {
			return "", &NoToken{answer.Status + ", and not from zhongkong", retryAfter, true}
		}
		isPassing := answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= 500
		return "", &NoToken{told.Detail, retryAfter, isPassing}
	}
	if err != nil {
		return "", err
	}
	if told.Token == "" {
		return "", &NoToken{"the answer holds no token", 0, true}
	}
	// Versions never go back, even if a late answer comes last; but a lower one that was issued later is of a store that
	// began anew.
	now, known := tokens.look(name)
	isOlder := known && told.Version < now.version && told.IssuedAt <= now.issuedAt
	if isOlder && time.Now().Before(now.deadAt) {
		return now.token, nil
	}
	left := time.Duration(told.ExpiresIn * float64(time.Second))
	again := left * 4 / 5
	if again > keep {
		again = keep
	}
	tokens.mutex.Lock()
	defer tokens.mutex.Unlock()
	if tokens.held == nil {
		tokens.held = map[string]held{}
	}
	tokens.held[name] = held{told.Token, told.Version, told.IssuedAt, askedAt.Add(again), askedAt.Add(left)}
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

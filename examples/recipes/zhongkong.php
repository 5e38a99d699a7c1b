<?php
/**
 * Tokens from zhongkong with nothing but PHP's own curl (PHP 8.1 and later). With APCu, the processes of one machine share
 * what they hold; without it each request asks once.
 *
 *   $tokens = new Zhongkong(getenv('ZHONGKONG_URL'), getenv('ZHONGKONG_KEY') ?: null);
 *   $tokens->get('weixin');               // from memory while it lives
 *   $tokens->refused('weixin', $token);   // the platform refused this one (40001, 42001, 401): the new one
 */

/** The server has no token for us, and says why. retryAfter: seconds, or null. */
final class NoToken extends RuntimeException
{
    public function __construct(string $detail, public readonly ?int $retryAfter = null)
    {
        parent::__construct($detail);
    }
}

final class Zhongkong
{
    /** Ask again after a minute, so that what was replaced early is not kept for long; sooner if less is left. */
    private const KEEP_SECONDS = 60;

    /** name => [token, version, ask again at, dead at] */
    private array $held = [];

    public function __construct(private string $url, private ?string $key = null)
    {
        $this->url = rtrim($url, '/');
    }

    public function get(string $name): string
    {
        $held = $this->held($name);
        if ($held !== null && microtime(true) < $held[2]) {
            return $held[0];
        }
        try {
            return $this->ask($name);
        } catch (NoToken $problem) {
            // The server is away or has trouble: a token that lives is as good as before.
            if ($held !== null && $problem->retryAfter !== null && microtime(true) < $held[3]) {
                return $held[0];
            }
            throw $problem;
        }
    }

    /** Says which token was refused. Any number of programs that do so cost one fetch. */
    public function refused(string $name, string $token): string
    {
        $held = $this->held($name);
        if ($held !== null && $held[0] !== $token && microtime(true) < $held[3]) {
            return $held[0]; // another process was faster
        }
        return $this->ask($name, '/refresh', json_encode(['stale' => $token]));
    }

    private function ask(string $name, string $rest = '', ?string $body = null): string
    {
        $headers = $this->key === null ? [] : ['Authorization: Bearer ' . $this->key];
        $curl = curl_init($this->url . '/v1/tokens/' . rawurlencode($name) . $rest);
        $retryAfter = null;
        curl_setopt_array($curl, [
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => 5,
            CURLOPT_TIMEOUT => 10,
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
                if (stripos($line, 'retry-after:') === 0) {
                    $retryAfter = (int) trim(substr($line, 12));
                }
                return strlen($line);
            },
        ]);
        if ($body !== null) {
            $headers[] = 'Content-Type: application/json';
            curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        }
        curl_setopt($curl, CURLOPT_HTTPHEADER, $headers);
        $askedAt = microtime(true);
        $text = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_HTTP_CODE);
        if ($text === false) {
            throw new NoToken('zhongkong does not answer', 1);
        }
        $told = json_decode($text, true) ?? [];
        if ($status !== 200) {
            throw new NoToken($told['detail'] ?? "HTTP $status", $retryAfter);
        }
        $held = $this->held($name);
        // Versions never go back, even if a late answer comes last.
        if ($held !== null && $told['version'] < $held[1] && microtime(true) < $held[3]) {
            return $held[0];
        }
        $left = $told['expires_in'];
        $made = [$told['token'], $told['version'], $askedAt + min(self::KEEP_SECONDS, $left * 0.8), $askedAt + $left];
        $this->held[$name] = $made;
        if (function_exists('apcu_store') && apcu_enabled()) {
            apcu_store("zhongkong:$name", $made, max(1, $left));
        }
        return $told['token'];
    }

    private function held(string $name): ?array
    {
        if (function_exists('apcu_fetch') && apcu_enabled()) {
            $shared = apcu_fetch("zhongkong:$name");
            if (is_array($shared) && $shared[1] >= ($this->held[$name][1] ?? 0)) {
                $this->held[$name] = $shared;
            }
        }
        return $this->held[$name] ?? null;
    }
}

if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    $source = $argv[1] ?? 'weixin';
    $tokens = new Zhongkong(getenv('ZHONGKONG_URL') ?: 'http://127.0.0.1:8888', getenv('ZHONGKONG_KEY') ?: null);
    $first = $tokens->get($source);
    printf("%s: %s…, from memory: %s\n", $source, substr($first, 0, 6), $tokens->get($source) === $first ? 'True' : 'False');
    printf("after a report: %s…\n", substr($tokens->refused($source, $first), 0, 6));
    try {
        $tokens->get('nobody');
    } catch (NoToken $problem) {
        printf("nobody: %s\n", $problem->getMessage());
    }
}

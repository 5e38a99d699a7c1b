<?php
/**
 * Tokens from zhongkong with nothing but PHP's own curl (PHP 8.1 and later). With APCu, the processes of one machine share
 * what they hold; without it each request asks once.
 *
 *   $tokens = new Zhongkong(getenv('ZHONGKONG_URL'), getenv('ZHONGKONG_KEY') ?: null);
 *   $tokens->get('weixin');               // from memory while it lives
 *   $tokens->refused('weixin', $token);   // the platform refused this one (40001, 42001, 401): the new one
 */

/** The server has no token for us, and says why. retryAfter: seconds, or null. isPassing: waiting may help. */
final class NoToken extends RuntimeException
{
    public function __construct(
        string $detail,
        public readonly ?int $retryAfter = null,
        public readonly bool $isPassing = false,
    ) {
        parent::__construct($detail);
    }
}

final class Zhongkong
{
    /** Ask again after a minute, so that what was replaced early is not kept for long; sooner if less is left. */
    private const KEEP_SECONDS = 60;
    /** A server that is away is not asked for so long about a token that lives: one that hangs would hold up every call. */
    private const AWAY_SECONDS = 5;

    /** name => [token, version, issued at, ask again at, dead at]; the last two by the monotonic clock of the machine */
    private array $held = [];

    public function __construct(private string $url, private ?string $key = null)
    {
        $this->url = rtrim($url, '/');
    }

    public function get(string $name): string
    {
        $held = $this->held($name);
        if ($held !== null && self::now() < $held[3]) {
            return $held[0];
        }
        try {
            return $this->ask($name);
        } catch (NoToken $problem) {
            // The server is away or has trouble: a token that lives is as good as before.
            if ($held !== null && $problem->isPassing && self::now() < $held[4]) {
                $held[3] = self::now() + self::AWAY_SECONDS;
                $this->keep($name, $held);
                return $held[0];
            }
            throw $problem;
        }
    }

    /** Says which token was refused. Any number of programs that do so cost one fetch. */
    public function refused(string $name, string $token): string
    {
        $held = $this->held($name);
        if ($held !== null && $held[0] !== $token && self::now() < $held[4]) {
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
                    $after = trim(substr($line, 12));
                    $retryAfter = ctype_digit($after) ? (int) $after : null;
                }
                return strlen($line);
            },
        ]);
        if ($body !== null) {
            $headers[] = 'Content-Type: application/json';
            curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        }
        curl_setopt($curl, CURLOPT_HTTPHEADER, $headers);
        $askedAt = self::now();
        $text = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_HTTP_CODE);
        if ($text === false) {
            throw new NoToken('zhongkong does not answer', null, true);
        }
        $told = json_decode($text, true);
        if ($status !== 200) {
            // Only zhongkong says a code. Whatever else answers stands between, and may be mended soon.
            $isOurs = is_array($told) && isset($told['code']);
            $detail = $isOurs ? $told['detail'] ?? $told['code'] : "HTTP $status, and not from zhongkong";
            throw new NoToken($detail, $retryAfter, !$isOurs || $status === 429 || $status >= 500);
        }
        if (!is_array($told) || !isset($told['token'], $told['version'], $told['issued_at'], $told['expires_in'])) {
            throw new NoToken('the answer holds no token', null, true);
        }
        $held = $this->held($name);
        // Versions never go back, even if a late answer comes last; but a lower one that was issued later is of a store
        // that began anew.
        $isOlder = $held !== null && $told['version'] < $held[1] && $told['issued_at'] <= $held[2];
        if ($isOlder && self::now() < $held[4]) {
            return $held[0];
        }
        $left = $told['expires_in'];
        $againAt = $askedAt + min(self::KEEP_SECONDS, $left * 0.8);
        $this->keep($name, [$told['token'], $told['version'], $told['issued_at'], $againAt, $askedAt + $left]);
        return $told['token'];
    }

    private function keep(string $name, array $made): void
    {
        $this->held[$name] = $made;
        if (function_exists('apcu_store') && apcu_enabled()) {
            apcu_store($this->shared($name), $made, (int) max(1, $made[4] - self::now()));
        }
    }

    private function held(string $name): ?array
    {
        if (function_exists('apcu_fetch') && apcu_enabled()) {
            $shared = apcu_fetch($this->shared($name));
            $own = $this->held[$name] ?? null;
            // Of two processes the one whose token was issued later knows more.
            if (is_array($shared) && ($own === null || [$shared[2], $shared[1]] >= [$own[2], $own[1]])) {
                $this->held[$name] = $shared;
            }
        }
        return $this->held[$name] ?? null;
    }

    /** Other programs of this machine may have another server, or a key that may read less. */
    private function shared(string $name): string
    {
        return 'zhongkong:' . hash('sha256', "$this->url $this->key") . ":$name";
    }

    /** The same for all processes of a machine, and nobody sets it. */
    private static function now(): float
    {
        return hrtime(true) / 1e9;
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

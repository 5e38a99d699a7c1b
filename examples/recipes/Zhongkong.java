import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Tokens from zhongkong with nothing but the JDK (11 and later).
 *
 * <pre>
 * var tokens = new Zhongkong(System.getenv("ZHONGKONG_URL"), System.getenv("ZHONGKONG_KEY"));
 * tokens.get("weixin");             // from memory while it lives
 * tokens.refused("weixin", token);  // the platform refused this one (40001, 42001, 401): the new one
 * </pre>
 */
public final class Zhongkong {
    /** Ask again after a minute, so that what was replaced early is not kept for long; sooner if less is left. */
    private static final double KEEP_SECONDS = 60;
    /** A server that is away is not asked for so long about tokens that live: one that hangs would hold up every call. */
    private static final double AWAY_SECONDS = 5;

    private static final class Held {
        final String token;
        final long version;
        final long issuedAt;
        final long askAgainAt;
        final long deadAt;

        Held(String token, long version, long issuedAt, long askAgainAt, long deadAt) {
            this.token = token;
            this.version = version;
            this.issuedAt = issuedAt;
            this.askAgainAt = askAgainAt;
            this.deadAt = deadAt;
        }
    }

    /** The server has no token for us, and says why. */
    public static final class NoToken extends IOException {
        /** Seconds after which trying again makes sense; 0 where it does not. */
        public final int retryAfter;
        /** Waiting may help. */
        public final boolean isPassing;

        NoToken(String detail, int retryAfter, boolean isPassing) {
            super(detail);
            this.retryAfter = retryAfter;
            this.isPassing = isPassing;
        }
    }

    private final String url;
    private final String key;
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final Map<String, Held> held = new ConcurrentHashMap<>();
    private final ReentrantLock lock = new ReentrantLock();
    private long awayUntil = System.nanoTime();

    public Zhongkong(String url, String key) {
        this.url = url.replaceAll("/+$", "");
        this.key = key;
    }

    public String get(String name) throws IOException, InterruptedException {
        Held now = held.get(name);
        if (now != null && isBefore(now.askAgainAt)) return now.token;
        // One request for all threads: whoever has no token waits for it, all others go on with the one that lives.
        if (!lock.tryLock()) {
            if (now != null && isBefore(now.deadAt)) return now.token;
            lock.lock();
        }
        try {
            now = held.get(name);
            if (now != null && (isBefore(now.askAgainAt) || isBefore(awayUntil) && isBefore(now.deadAt))) return now.token;
            try {
                return ask(name, "", null);
            } catch (IOException problem) {
                // The server is away or has trouble: a token that lives is as good as before.
                if (problem instanceof NoToken && !((NoToken) problem).isPassing) throw problem;
                awayUntil = System.nanoTime() + (long) (AWAY_SECONDS * 1e9);
                if (now != null && isBefore(now.deadAt)) return now.token;
                throw problem;
            }
        } finally {
            lock.unlock();
        }
    }

    /** Says which token was refused. Any number of programs that do so cost one fetch. */
    public String refused(String name, String token) throws IOException, InterruptedException {
        lock.lock();
        try {
            Held now = held.get(name);
            if (now != null && !now.token.equals(token) && isBefore(now.deadAt)) return now.token; // another thread was faster
            return ask(name, "/refresh", "{\"stale\":\"" + token.replace("\\", "\\\\").replace("\"", "\\\"") + "\"}");
        } finally {
            lock.unlock();
        }
    }

    private String ask(String name, String rest, String body) throws IOException, InterruptedException {
        String path = "/v1/tokens/" + URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20") + rest;
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(10));
        if (key != null && !key.isEmpty()) request.header("Authorization", "Bearer " + key);
        if (body != null) request.header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body));
        long askedAt = System.nanoTime();
        CompletableFuture<HttpResponse<String>> coming = http.sendAsync(request.build(), HttpResponse.BodyHandlers.ofString());
        HttpResponse<String> answer;
        try {
            // The timeout of a request ends with the headers of the answer; this one is for the whole of it.
            answer = coming.get(10, TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException problem) {
            coming.cancel(true);
            throw new IOException("zhongkong does not answer", problem);
        }
        String json = answer.body();
        if (answer.statusCode() != 200) {
            String after = answer.headers().firstValue("Retry-After").orElse("");
            // Only zhongkong says a code. Whatever else answers stands between, and may be mended soon.
            boolean isOurs = !field(json, "\"code\":\"([a-z_]+)\"", "").isEmpty();
            String detail = isOurs ? "HTTP " + answer.statusCode() : "HTTP " + answer.statusCode() + ", and not from zhongkong";
            throw new NoToken(
                    field(isOurs ? json : "", "\"detail\":\"((?:[^\"\\\\]|\\\\.)*)\"", detail),
                    after.matches("\\d{1,9}") ? Integer.parseInt(after) : 0,
                    !isOurs || answer.statusCode() == 429 || answer.statusCode() >= 500);
        }
        // Your JSON library reads these just as well; tokens hold nothing that JSON would escape but slashes.
        String token = field(json, "\"token\":\"([^\"]+)\"", "").replace("\\/", "/");
        long version = Long.parseLong(field(json, "\"version\":(\\d+)", "0"));
        double left = Double.parseDouble(field(json, "\"expires_in\":(\\d+)", "0"));
        long issuedAt = Long.parseLong(field(json, "\"issued_at\":(\\d+)", "0"));
        if (token.isEmpty()) throw new NoToken("the answer holds no token", 0, true);
        Held now = held.get(name);
        // Versions never go back, even if a late answer comes last; but a lower one that was issued later is of a store
        // that began anew.
        boolean isOlder = now != null && version < now.version && issuedAt <= now.issuedAt;
        if (isOlder && isBefore(now.deadAt)) return now.token;
        long askAgainAt = askedAt + (long) (Math.min(KEEP_SECONDS, left * 0.8) * 1e9);
        held.put(name, new Held(token, version, issuedAt, askAgainAt, askedAt + (long) (left * 1e9)));
        return token;
    }

    /** By the monotonic clock, whose values may only be subtracted. */
    private static boolean isBefore(long at) {
        return System.nanoTime() - at < 0;
    }

    private static String field(String json, String pattern, String otherwise) {
        Matcher found = Pattern.compile(pattern).matcher(json);
        return found.find() ? found.group(1) : otherwise;
    }

    public static void main(String[] args) throws Exception {
        String source = args.length > 0 ? args[0] : "weixin";
        String url = System.getenv().getOrDefault("ZHONGKONG_URL", "http://127.0.0.1:8888");
        Zhongkong tokens = new Zhongkong(url, System.getenv("ZHONGKONG_KEY"));
        String first = tokens.get(source);
        System.out.println(source + ": " + first.substring(0, 6) + "…, from memory: " + tokens.get(source).equals(first));
        System.out.println("after a report: " + tokens.refused(source, first).substring(0, 6) + "…");
        try {
            tokens.get("nobody");
        } catch (NoToken problem) {
            System.out.println("nobody: " + problem.getMessage());
        }
    }
}

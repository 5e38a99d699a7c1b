"""Tokens from zhongkong with nothing but Python's own library (3.8 and later).

    tokens = Tokens(os.environ["ZHONGKONG_URL"], os.environ.get("ZHONGKONG_KEY"))
    tokens.get("weixin")                    # from memory while it lives
    tokens.refused("weixin", token)         # the platform refused this one (40001, 42001, 401): the new one
"""
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


class NoToken(Exception):
    """The server has no token for us, and says why. `retry_after`: seconds, or None."""

    def __init__(self, detail, retry_after=None):
        super().__init__(detail)
        self.retry_after = retry_after


class Tokens:
    # Ask again after a minute, so that what was replaced early is not kept for long; sooner if less is left.
    KEEP_SECONDS = 60

    def __init__(self, url, key=None, timeout=10):
        self._url, self._key, self._timeout = url.rstrip("/"), key, timeout
        self._held = {}  # name: (token, version, ask again at, dead at); by the monotonic clock
        self._lock = threading.Lock()

    def get(self, name):
        # One request for all threads: whoever waits for the lock finds the answer.
        with self._lock:
            held = self._held.get(name)
            if held and time.monotonic() < held[2]:
                return held[0]
            try:
                return self._ask(name, "GET", "")
            except (NoToken, OSError) as problem:
                # The server is away or has trouble: a token that lives is as good as before.
                passing = not isinstance(problem, NoToken) or problem.retry_after is not None
                if held and passing and time.monotonic() < held[3]:
                    return held[0]
                raise

    def refused(self, name, token):
        """Says which token was refused. Any number of programs that do so cost one fetch."""
        with self._lock:
            held = self._held.get(name)
            if held and held[0] != token and time.monotonic() < held[3]:
                return held[0]  # another thread was faster
            return self._ask(name, "POST", "/refresh", {"stale": token})

    def _ask(self, name, method, rest, body=None):
        path = f"/v1/tokens/{urllib.parse.quote(name, safe='')}{rest}"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(
            self._url + path, method=method, headers=headers, data=None if body is None else json.dumps(body).encode()
        )
        asked_at = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                try:
                    detail = json.load(error).get("detail", "")
                except ValueError:
                    detail = f"HTTP {error.code}"
            retry_after = error.headers.get("Retry-After")
            raise NoToken(detail, int(retry_after) if retry_after else None) from None
        held = self._held.get(name)
        # Versions never go back, even if a late answer comes last.
        if held and told["version"] < held[1] and time.monotonic() < held[3]:
            return held[0]
        left = told["expires_in"]
        self._held[name] = (told["token"], told["version"], asked_at + min(self.KEEP_SECONDS, left * 0.8), asked_at + left)
        return told["token"]


if __name__ == "__main__":
    import os
    import sys

    source = sys.argv[1] if len(sys.argv) > 1 else "weixin"
    tokens = Tokens(os.environ.get("ZHONGKONG_URL", "http://127.0.0.1:8888"), os.environ.get("ZHONGKONG_KEY"))
    first = tokens.get(source)
    print(f"{source}: {first[:6]}…, from memory: {tokens.get(source) == first}")
    print(f"after a report: {tokens.refused(source, first)[:6]}…")
    try:
        tokens.get("nobody")
    except NoToken as problem:
        print(f"nobody: {problem}")

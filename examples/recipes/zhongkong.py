"""Tokens from zhongkong with nothing but Python's own library (3.8 and later).

    tokens = Tokens(os.environ["ZHONGKONG_URL"], os.environ.get("ZHONGKONG_KEY"))
    tokens.get("weixin")                    # from memory while it lives
    tokens.refused("weixin", token)         # the platform refused this one (40001, 42001, 401): the new one
"""
import collections
import http.client
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


class NoToken(Exception):
    """The server has no token for us, and says why. `retry_after`: seconds, or None. `is_passing`: waiting may help."""

    def __init__(self, detail, retry_after=None, is_passing=False):
        super().__init__(detail)
        self.retry_after, self.is_passing = retry_after, is_passing


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Python would send the key along to wherever an answer points."""

    def redirect_request(self, *_):
        return None


# Instants are of the monotonic clock.
_Held = collections.namedtuple("_Held", "token version issued_at ask_again_at dead_at")


class Tokens:
    # Ask again after a minute, so that what was replaced early is not kept for long; sooner if less is left.
    KEEP_SECONDS = 60
    # A server that is away is not asked for so long about tokens that live: one that hangs would hold up every call.
    AWAY_SECONDS = 5

    def __init__(self, url, key=None, timeout=10):
        self._url, self._key, self._timeout = url.rstrip("/"), key, timeout
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._held = {}
        self._away_until = 0
        self._lock = threading.Lock()

    def get(self, name):
        held, now = self._held.get(name), time.monotonic()
        if held and now < held.ask_again_at:
            return held.token
        # One request for all threads: whoever has no token waits for it, all others go on with the one that lives.
        if not self._lock.acquire(blocking=not (held and now < held.dead_at)):
            return held.token
        try:
            held, now = self._held.get(name), time.monotonic()
            if held and now < max(held.ask_again_at, min(self._away_until, held.dead_at)):
                return held.token
            try:
                return self._ask(name, "GET", "")
            except (NoToken, OSError, ValueError, http.client.HTTPException) as problem:
                # The server is away or has trouble: a token that lives is as good as before.
                if isinstance(problem, NoToken) and not problem.is_passing:
                    raise
                self._away_until = time.monotonic() + self.AWAY_SECONDS
                if held and time.monotonic() < held.dead_at:
                    return held.token
                raise
        finally:
            self._lock.release()

    def refused(self, name, token):
        """Says which token was refused. Any number of programs that do so cost one fetch."""
        with self._lock:
            held = self._held.get(name)
            if held and held.token != token and time.monotonic() < held.dead_at:
                return held.token  # another thread was faster
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
            with self._opener.open(request, timeout=self._timeout) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                try:
                    said = json.load(error)
                except ValueError:
                    said = None
            # Only zhongkong says a code. Whatever else answers stands between, and may be mended soon.
            is_ours = isinstance(said, dict) and "code" in said
            detail = said.get("detail", said["code"]) if is_ours else f"HTTP {error.code}, and not from zhongkong"
            after = error.headers.get("Retry-After") or ""
            is_passing = not is_ours or error.code == 429 or error.code >= 500
            raise NoToken(detail, int(after) if after.isdigit() else None, is_passing) from None
        if not isinstance(told, dict) or not {"token", "version", "issued_at", "expires_in"} <= told.keys():
            raise NoToken("the answer holds no token", is_passing=True)
        held = self._held.get(name)
        # Versions never go back, even if a late answer comes last; but a lower one that was issued later is of a store
        # that began anew.
        is_older = held and told["version"] < held.version and told["issued_at"] <= held.issued_at
        if is_older and time.monotonic() < held.dead_at:
            return held.token
        left = told["expires_in"]
        again_at = asked_at + min(self.KEEP_SECONDS, left * 0.8)
        self._held[name] = _Held(told["token"], told["version"], told["issued_at"], again_at, asked_at + left)
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

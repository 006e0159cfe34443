"""A server's address and a token come in; checked JSON answers to requests go out."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from gitops.adapters.gitlab.parsing import parse_user
from gitops.adapters.gitlab.redaction import Redactor
from gitops.adapters.gitlab.trouble import (
    AnswerError,
    ConflictError,
    Limits,
    UnclearError,
    wait_after,
)
from gitops.errors import GitopsError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

PAGE = 100
MOST_PAGES = 200
_HINTS = {
    401: "check that the token is right and has not expired: gitops doctor",
    403: "the token needs the scope api, and its owner the role Developer or more: gitops doctor",
    404: "check the project and the number; to a token without access everything is missing",
}
_SAYINGS = {
    401: "GitLab does not know this token",
    403: "the token may not do this",
    404: "there is no such thing",
}


def connect(address: str, token: str, *, limits: Limits | None = None) -> Connection:
    """Return a connection; nothing is sent yet.

    Raises:
        InputError: the address or the token cannot be used; the message does not show the token.
    """
    if not _is_address(address):
        raise InputError(
            "the address of GitLab must look like https://gitlab.example.com, without a user",
            hint="in CI it is $CI_SERVER_URL",
        )
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            "the token is empty or has characters that no token has",
            hint="look for a line end at its end; the token itself is not shown here",
        )
    return Connection(address, token, limits or Limits())


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return False
    return known and bool(parts.hostname) and "@" not in parts.netloc


def make_path(*parts: str | int) -> str:
    """Return an API path; each part is data, and stays one part whatever it holds."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


class Connection:
    """One server and one token. Not for two threads at once.

    A GET, PUT or DELETE is repeated a few times when the answer is unclear. A POST never is: who
    asks for one must first look whether it happened.
    """

    def __init__(self, address: str, token: str, limits: Limits) -> None:
        import gitlab

        from gitops.adapters.gitlab.session import OneServerSession

        self.limits = limits
        self.redactor = Redactor(token)
        self._api = gitlab.Gitlab(
            address,
            oauth_token=token,
            timeout=(limits.connect_seconds, limits.read_seconds),  # type: ignore[arg-type] # requests takes the pair
            session=OneServerSession(address),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.session.close()

    @cached_property
    def own_id(self) -> int:
        """Return the id of the token's owner, asked once."""
        return parse_user(self.get(make_path("user"))).id

    def get(self, path: str, **query: str | int) -> Any:
        """Return the parsed answer to a GET."""
        return self._parse(self._ask_again("get", path, query_data=query))

    def pages(self, path: str, **query: str | int) -> Iterator[Any]:
        """Yield the items of a list, page by page."""
        number = "1"
        for _ in range(MOST_PAGES):
            options = {"per_page": PAGE, "page": number, **query}
            response = self._ask_again("get", path, query_data=options)
            yield from self._parse(response)
            number = response.headers.get("X-Next-Page", "")
            if not number:
                return
        raise UnclearError(f"the list has more than {MOST_PAGES} pages", where=path)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the parsed answer to a PUT."""
        return self._parse(self._ask_again("put", path, post_data=dict(body)))

    def delete(self, path: str) -> None:
        """Delete; what is gone already counts as deleted."""
        try:
            self._ask_again("delete", path)
        except AnswerError as error:
            if error.status != 404:
                raise

    def post_once(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the parsed answer to a POST; after an UnclearError it may have happened or not."""
        return self._parse(self._ask("post", path, post_data=dict(body)))

    def upload_once(self, path: str, name: str, content: bytes) -> Any:
        """Return the parsed answer to a POST of one file."""
        return self._parse(self._ask("post", path, files={"file": (name, content)}))

    def wait(self, error: UnclearError, attempt: int) -> None:
        """Wait before the next attempt; raise the error when there should be none."""
        wait_after(error, attempt, self.limits)

    def _ask_again(self, verb: str, path: str, **options: Any) -> requests.Response:
        attempt = 1
        while True:
            try:
                return self._ask(verb, path, **options)
            except UnclearError as error:
                self.wait(error, attempt)
            attempt += 1

    def _ask(self, verb: str, path: str, **options: Any) -> requests.Response:
        import gitlab
        import requests

        place = f"{verb.upper()} {path}"
        try:
            # python-gitlab would wait as long as it is told to, and repeat a POST like a GET.
            return self._api.http_request(
                verb, path, obey_rate_limit=False, retry_transient_errors=False, **options
            )
        except GitopsError as error:
            error.where = error.where or place
            raise
        except gitlab.GitlabError as error:
            problem = self._explain(error.response_code or 0, error.error_message, place)
        except requests.RequestException as error:
            problem = UnclearError(f"no answer: {type(error).__name__}", where=place)
        # Outside the handlers: the caught errors carry the request, whose header has the token.
        raise problem

    def _explain(self, status: int, message: object, place: str) -> GitopsError:
        said = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
        said = self.redactor.redact(" ".join(said.split()))[:300]
        if status == 409:
            return ConflictError(f"GitLab sees a conflict: {said}", where=place, hint="start anew")
        saying = _SAYINGS.get(status, f"GitLab refused with status {status}")
        return AnswerError(
            f"{saying}: {said}", status=status, where=place, hint=_HINTS.get(status, "")
        )

    def _parse(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            problem = UnclearError("the answer is not JSON", where=self._path_of(response))
        raise problem

    def _path_of(self, response: requests.Response) -> str:
        return self.redactor.redact(urlsplit(response.url).path)

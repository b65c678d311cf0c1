# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to an OpenLMIS server that may not be there yet: every outcome is an Answer, none an exception."""

from __future__ import annotations

import base64
import http.client
import inspect
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import Request, make_context
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

# Enough for the largest profile with all its roles; of openlmis.js only the beginning is of interest.
BODY_LIMIT = 4 * 1024 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
# What nginx answers while a component is not reached; it may be reached a moment later.
NOT_REACHED = (502, 503, 504)
PAUSE = 0.5  # seconds before such a request is repeated
BURST = 8  # requests at once, so that each of nginx' workers gets one


def site_argument_spec() -> dict[str, Any]:
    """The options of the doc fragment openlmis.operations.site."""
    return {
        "base_url": {"type": "str", "required": True},
        "components": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "version": {"type": "str"},
                "path": {"type": "str"},
                "service": {"type": "str"},
                "schema": {"type": "str"},
                "migrations": {"type": "list", "elements": "str", "default": []},
            },
        },
        "validate_certs": {"type": "bool", "default": True},
    }


class Component(NamedTuple):
    """One component as the release wants it; an empty version is any that it names."""

    name: str
    version: str
    path: str
    service: str
    schema: str = ""
    migrations: tuple = ()


def components_of(params: dict[str, Any]) -> list[Component]:
    """The components of a module's parameters, defaults filled in; OperationError for a list that makes no sense."""
    found = [
        Component(
            one["name"],
            one.get("version") or "",
            one.get("path") or "/" + one["name"],
            one.get("service") or one["name"],
            one.get("schema") or "",
            tuple(one.get("migrations") or ()),
        )
        for one in params["components"]
    ]
    for component in found:
        if component.migrations and not component.schema:
            raise OperationError(
                f"Component {component.name} has migrations but no schema. Expected both or neither: give the schema."
            )
    if len({component.name for component in found}) < len(found):
        raise OperationError("A component is named twice. Expected each name once: correct the list of components.")
    return found


class Answer(NamedTuple):
    """What one request came to.

    status is None when no HTTP answer arrived; problem then says why. hopeless marks what waiting cannot fix.
    """

    status: int | None = None
    body: bytes = b""
    problem: str = ""
    hopeless: bool = False

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.body.decode("utf-8"))
        except ValueError:
            return None

    def says(self) -> str:
        """What came, as the end of a sentence that begins with the address; never a word of the body."""
        return self.problem or f"answers {self.status}"


class Version(NamedTuple):
    """The version that a component names, or the problem that keeps it from naming one."""

    version: str = ""
    problem: str = ""
    hopeless: bool = False


class Site:
    """An OpenLMIS server at its public address.

    Proxies of the environment are not used: whatever keeps users out lets in this host, not a proxy. ~/.netrc is not
    read. Redirects are not followed: the paths used here have none, except where a server insists on https, and a
    password does not go to an address that nobody gave.
    """

    def __init__(
        self, base_url: str, validate_certs: bool = True, timeout: float = 10, retry_seconds: float = 0
    ) -> None:
        self.base_url = base_url.rstrip("/")
        # How long requests that nginx could not pass on are repeated, from the first of them to the next that it could.
        self.retry_seconds = retry_seconds
        self.gives_up_at: float | None = None
        self.validate_certs = validate_certs
        self.timeout = timeout
        parts = urlsplit(self.base_url)
        more = parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme not in ("http", "https") or not parts.hostname or more:
            raise OperationError(
                "base_url is not the address of a server. Expected http:// or https:// with a host, and a port if"
                " need be, without user name and query: give BASE_URL of the deployment's settings."
            )
        # Reading the authorities takes longer than a request; Request takes what was read once since ansible-core 2.17.
        once = "context" in inspect.signature(Request).parameters
        self.shared = {"context": make_context(validate_certs=validate_certs)} if once else {}
        # nginx with REQUIRE_SSL=true goes by this header alone. What ends TLS in front of it should set it; where that
        # was forgotten, ours is as true. Over plain http it would be a lie that sends the password in the clear.
        self.headers = {"X-Forwarded-Proto": "https"} if parts.scheme == "https" else {}

    def url(self, path: str) -> str:
        """The whole address of a path."""
        return self.base_url + "/" + path.lstrip("/")

    def get(self, path: str, token: str = "") -> Answer:
        """GET, with a bearer token when one is given."""
        return self.request("GET", path, {"Authorization": f"Bearer {token}"} if token else None)

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        idempotent: bool = False,
    ) -> Answer:
        """One request, repeated for retry_seconds while nginx does not pass it on.

        Of other methods than GET only one that is said to be idempotent is repeated: a 504 does not say whether it was
        carried out.
        """
        answer = self._request(method, path, headers, data)
        if answer.status not in NOT_REACHED or not (idempotent or method == "GET"):
            return answer
        while answer.status in NOT_REACHED and self._patient():
            time.sleep(PAUSE)
            answer = self._request(method, path, headers, data)
        if answer.status not in NOT_REACHED:
            self.gives_up_at = None
        return answer

    def _patient(self) -> bool:
        if self.gives_up_at is None:
            self.gives_up_at = time.monotonic() + self.retry_seconds
        return time.monotonic() < self.gives_up_at

    def _request(self, method: str, path: str, headers: dict[str, str] | None, data: bytes | None) -> Answer:
        """One request; it is over within about twice the timeout (seconds), whatever the other side does."""
        deadline = time.monotonic() + self.timeout
        try:
            # One for each: they keep cookies.
            response = Request(**self.shared).open(
                method,
                self.url(path),
                data=data,
                headers={**self.headers, **(headers or {})},
                timeout=self.timeout,
                validate_certs=self.validate_certs,
                follow_redirects="none",
                use_proxy=False,
                use_netrc=False,
                decompress=False,
                force=True,
                http_agent="openlmis.operations",
            )
            return Answer(response.status, _read(response, deadline))
        except HTTPError as error:
            return self._not_ok(error, deadline)
        except URLError as error:
            return _no_answer(error.reason)
        except (AnsibleConnectionError, http.client.HTTPException, OSError, ValueError) as error:
            return _no_answer(error)

    def ask_token(self, username: str, password: str, client_id: str, client_secret: str) -> Answer:
        """What auth answers to a login: 200 with a token, 400 for a wrong user or password, 401 for a wrong client."""
        headers = {
            "Authorization": "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = {"grant_type": "password", "username": username, "password": password}
        return self.request("POST", "/api/oauth/token", headers, urlencode(form).encode(), idempotent=True)

    def version(self, path: str) -> Version:
        """The version that the component at this path names; it listens only once its migrations are over."""
        answer = self.get(path)
        if answer.status != 200:
            return Version("", answer.says(), answer.hopeless)
        found = answer.json()
        version = found.get("version") if isinstance(found, dict) else None
        if not isinstance(version, str) or not version:
            return Version("", "answers 200, but not with a version in JSON")
        return Version(version)

    def versions_at_once(self, path: str) -> list[Version]:
        """What the component at this path names when it is asked over several new connections at the same time."""
        with ThreadPoolExecutor(BURST) as pool:
            return list(pool.map(self.version, [path] * BURST))

    def _not_ok(self, error: HTTPError, deadline: float) -> Answer:
        target = error.headers.get("Location") or ""
        if error.code in REDIRECTS and self.base_url.startswith("http:") and target.startswith("https:"):
            return Answer(
                error.code,
                b"",
                f"answers {error.code} and insists on https (REQUIRE_SSL=true, or a proxy in front of"
                " it). Expected an answer at base_url: give its https address as base_url",
                True,
            )
        try:
            return Answer(error.code, _read(error, deadline))
        except (http.client.HTTPException, OSError, ValueError):
            return Answer(error.code)


def _read(response: Any, deadline: float) -> bytes:
    """The body, up to BODY_LIMIT; a server that drips does not hold us past the deadline."""
    body = b""
    while len(body) < BODY_LIMIT:
        if time.monotonic() > deadline:
            raise TimeoutError("timed out in the middle")
        chunk = response.read1(65536)
        if not chunk:
            break
        body += chunk
    return body


def _no_answer(reason: Any) -> Answer:
    if "CERTIFICATE_VERIFY_FAILED" in str(reason) or isinstance(reason, ssl.SSLCertVerificationError):
        return Answer(
            None,
            b"",
            "shows a certificate that this host does not trust. Expected one from an authority known here:"
            " install that authority's certificate, or set validate_certs to false",
            True,
        )
    why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return Answer(None, b"", f"gives no answer ({why})")

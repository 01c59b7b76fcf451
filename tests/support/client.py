"""A small client of the HTTP contract, for tests: posts, and reads everything back."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from tests.support.deployments import Deployment, Project

_VISIBLE_SECONDS = 60


class Client:
    """One project's view of a deployment. It knows the contract and nothing of our code."""

    def __init__(self, deployment: Deployment, project: Project) -> None:
        self._deployment = deployment
        self._project = project
        self._http = httpx.Client(timeout=30)
        self.position = ""

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def track(self, body: dict[str, Any], *, key: str | None = None, instance: int = 0) -> dict[str, Any]:
        """Posts one event, which must be accepted; returns the answer."""
        headers = self._project.tracking | ({"Idempotency-Key": key} if key else {})
        answer = self._http.post(f"{self._ingest(instance)}/v1/track", headers=headers, json=body)
        return self._accepted(answer)

    def batch(self, events: list[dict[str, Any]], *, instance: int = 0) -> list[dict[str, Any]]:
        """Posts a batch, all of which must be accepted; returns the results."""
        url = f"{self._ingest(instance)}/v1/track/batch"
        answer = self._http.post(url, headers=self._project.tracking, json=events)
        outcome = self._accepted(answer)["data"]
        assert outcome["rejected"] == 0, outcome
        return list(outcome["results"])

    def report_mail(self, body: Any, *, instance: int = 0) -> dict[str, Any]:
        """Posts to the hook of mail systems, which must accept it; returns the answer."""
        url = f"{self._ingest(instance)}/v1/hooks/email"
        return self._accepted(self._http.post(url, headers=self._project.reading, json=body))

    def report_contact(self, body: Any, *, instance: int = 0) -> dict[str, Any]:
        """Posts to the hook of contacts, which must accept it; returns the answer."""
        url = f"{self._ingest(instance)}/v1/hooks/contact"
        return self._accepted(self._http.post(url, headers=self._project.reading, json=body))

    def report_membership(self, body: Any, *, instance: int = 0) -> dict[str, Any]:
        """Posts to the hook of segments, which must accept it; returns the answer."""
        url = f"{self._ingest(instance)}/v1/hooks/segment"
        return self._accepted(self._http.post(url, headers=self._project.reading, json=body))

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Any other request to the query API."""
        url = f"{self._deployment.query_url}{path}"
        return self._http.request(method, url, headers=self._project.reading, json=body)

    def create(self, path: str, body: Any) -> dict[str, Any]:
        """Makes a segment or a workflow, which must be taken."""
        answer = self.ask("POST", path, body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def change(self, contact: str, body: Any) -> httpx.Response:
        """Changes a contact."""
        return self._http.patch(self._contact(contact), headers=self._project.reading, json=body)

    def erase(self, contact: str) -> httpx.Response:
        """Erases a contact."""
        return self._http.delete(self._contact(contact), headers=self._project.reading)

    def _contact(self, contact: str) -> str:
        return f"{self._deployment.query_url}/contacts/{contact}"

    def _ingest(self, instance: int) -> str:
        urls = self._deployment.ingest_urls
        return urls[instance % len(urls)]

    def _accepted(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        self.position = answer.headers["X-Position"]
        return dict(answer.json())

    def get(self, path: str, *, after: str = "", **parameters: Any) -> httpx.Response:
        """One read."""
        headers = self._project.reading | ({"X-After-Position": after} if after else {})
        return self._http.get(f"{self._deployment.query_url}{path}", headers=headers, params=parameters)

    def read(self, path: str, *, after: str = "", **parameters: Any) -> Any:
        """One read that must succeed; its body. What is not visible yet is asked for again, as its 503 says."""
        deadline = time.monotonic() + _VISIBLE_SECONDS
        answer = self.get(path, after=after, **parameters)
        while after and answer.status_code == 503 and time.monotonic() < deadline:
            time.sleep(int(answer.headers["Retry-After"]))
            answer = self.get(path, after=after, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def delete(self, name: str, *, prefix: str = "") -> httpx.Response:
        """Deletes all events of a name."""
        url = f"{self._deployment.query_url}{prefix}/events/{quote(name, safe='')}"
        return self._http.delete(url, headers=self._project.reading)

    def all_events(self, path: str = "/events", **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every event, by following the cursor to its end."""
        page = self.read(path, limit=1000, **parameters)
        yield from page["events"]
        while page["cursor"]:
            page = self.read(path, limit=1000, cursor=page["cursor"], **parameters)
            yield from page["events"]

    def counts(self) -> dict[str, int]:
        """Name to count, of all time."""
        return {row["name"]: row["count"] for row in self.read("/events/stats")}

"""/metrics, with vLLM's names, so that its dashboards and autoscalers work unchanged. Called by answers.py and the app.

Source of the names: vLLM v0.11 vllm/v1/metrics/loggers.py, and the set that the production-stack dashboards read.
"""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving_image.progress import Progress
from serving_image.requests import Stats

SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000)


class Metrics:
    """All series of one server."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._labels = {"model_name": model, "engine": "0"}
        self.waiting = self._gauge("vllm:num_requests_waiting", "Requests that wait")
        self.running = self._gauge("vllm:num_requests_running", "Requests that are computed")
        self.cache = self._gauge("vllm:kv_cache_usage_perc", "Share of the cache in use, 0 to 1")
        self.prompt_tokens = self._counter("vllm:prompt_tokens", "Prompt tokens of started requests")
        self.generation_tokens = self._counter("vllm:generation_tokens", "Tokens generated")
        self.preemptions = self._counter("vllm:num_preemptions", "Requests that gave way and were computed again")
        self.prefix_queries = self._counter("vllm:prefix_cache_queries", "Prompt tokens looked for in the cache")
        self.prefix_hits = self._counter("vllm:prefix_cache_hits", "Prompt tokens found in the cache")
        self.first_token = self._histogram("vllm:time_to_first_token_seconds", "From arrival", SECONDS)
        self.between_tokens = self._histogram("vllm:inter_token_latency_seconds", "Between two tokens", SECONDS)
        self.per_token = self._histogram("vllm:request_time_per_output_token_seconds", "Mean of a request", SECONDS)
        self.whole = self._histogram("vllm:e2e_request_latency_seconds", "From arrival to the last token", SECONDS)
        self.queued = self._histogram("vllm:request_queue_time_seconds", "Until it was started", SECONDS)
        self.inference = self._histogram("vllm:request_inference_time_seconds", "Start to last token", SECONDS)
        self.prefill = self._histogram("vllm:request_prefill_time_seconds", "Start to first token", SECONDS)
        self.decode = self._histogram("vllm:request_decode_time_seconds", "First to last token", SECONDS)
        self.request_prompt = self._histogram("vllm:request_prompt_tokens", "Prompt tokens", TOKENS)
        self.request_answer = self._histogram("vllm:request_generation_tokens", "Answer tokens", TOKENS)
        self.request_max = self._histogram("vllm:request_max_num_generation_tokens", "Tokens asked for", TOKENS)
        self.params_n = self._histogram("vllm:request_params_n", "Answers asked for", (1, 2, 5, 10, 20))
        self.params_max = self._histogram("vllm:request_params_max_tokens", "Tokens allowed", TOKENS)
        self.download_total = self._gauge("kaito:download_total_bytes", "Of the model's files, if downloaded")
        self.download_done = self._gauge("kaito:download_done_bytes", "Of these, on the disk")
        self.download_rate = self._gauge("kaito:download_bytes_per_second", "Over the last minute of the download")
        self.download_left = self._gauge("kaito:download_seconds_left", "At that rate; NaN where nothing arrives")
        names = [*self._labels, "finished_reason"]
        self.success = Counter("vllm:request_success", "Answered requests", names, registry=self.registry)
        names = [*self._labels, "reason"]
        self._refused = Counter("kaito:requests_refused", "Requests that were refused", names, registry=self.registry)
        self._seen = Stats()

    def finished(self, reason: str) -> None:
        """One answer is over."""
        self.success.labels(**self._labels, finished_reason=reason).inc()

    def refused(self, reason: str) -> None:
        """One request was not answered."""
        self._refused.labels(**self._labels, reason=reason).inc()

    def text(self, stats: Stats, waiting: int, download: Progress) -> bytes:
        """The page."""
        self._set_download(download)
        self.waiting.set(waiting)
        self.running.set(stats.running)
        self.cache.set(stats.cache_tokens / max(1, stats.cache_budget_tokens))
        self.preemptions.inc(stats.preemptions - self._seen.preemptions)
        self.prefix_queries.inc(stats.prefix_queries_tokens - self._seen.prefix_queries_tokens)
        self.prefix_hits.inc(stats.prefix_hits_tokens - self._seen.prefix_hits_tokens)
        self._seen = stats
        return generate_latest(self.registry)

    def _set_download(self, download: Progress) -> None:
        left = download.seconds_left
        self.download_total.set(download.total_bytes)
        self.download_done.set(download.done_bytes)
        self.download_rate.set(download.bytes_per_second)
        self.download_left.set(math.nan if left is None else left)

    def _gauge(self, name: str, explanation: str) -> Gauge:
        return Gauge(name, explanation, list(self._labels), registry=self.registry).labels(**self._labels)

    def _counter(self, name: str, explanation: str) -> Counter:
        return Counter(name, explanation, list(self._labels), registry=self.registry).labels(**self._labels)

    def _histogram(self, name: str, explanation: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(name, explanation, list(self._labels), registry=self.registry, buckets=buckets)
        return made.labels(**self._labels)

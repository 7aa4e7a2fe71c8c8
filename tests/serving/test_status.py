"""Health, models, metrics and version of a server that runs."""

from tests.serving.servers import Running


def test_a_ready_server_says_so(server: Running):
    with server.http() as http:
        assert http.get("/health").json() == {"status": "Healthy"}
        live = http.get("/health/live").json()
    assert live["alive"] and live["state"] == "ready" and live["last_token_age_seconds"] >= 0  # the warm-up's, at least


def test_the_model_is_listed_under_its_name_with_its_context(server: Running):
    models = server.openai().models.list().data
    assert [(model.id, model.max_model_len) for model in models] == [("smollm2-135m-instruct", 8192)]


def test_metrics_have_vllms_names_and_count(server: Running):
    with server.http() as http:
        http.post("/v1/completions", json={"prompt": "Once", "max_tokens": 3})
        text = http.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    labels = '{engine="0",model_name="smollm2-135m-instruct"}'
    assert float(values[f"vllm:generation_tokens_total{labels}"]) >= 3
    assert float(values[f"vllm:time_to_first_token_seconds_count{labels}"]) >= 1


def test_the_settings_and_their_origins_are_in_the_log(server: Running):
    assert "setting dtype = float32 (--dtype)" in server.text()
    assert "setting max_running = 64 (default)" in server.text()


def test_prompts_and_answers_are_not_in_the_log(server: Running):
    with server.http() as http:
        http.post("/v1/completions", json={"prompt": "a very secret word: xylophone", "max_tokens": 3})
    assert "POST /v1/completions" in server.text() and "xylophone" not in server.text()


def test_a_request_id_comes_back(server: Running):
    with server.http() as http:
        assert http.get("/health", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
        assert len(http.get("/health").headers["x-request-id"]) == 32

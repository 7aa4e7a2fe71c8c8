"""The small real model that the images' tests stand on."""

from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import small_model


def test_the_small_model_answers_a_question():
    tokenizer = AutoTokenizer.from_pretrained(small_model.folder())
    model = AutoModelForCausalLM.from_pretrained(small_model.folder())
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    tokens = model.generate(**prompt, max_new_tokens=10, do_sample=False)
    assert "Paris" in tokenizer.decode(tokens[0])

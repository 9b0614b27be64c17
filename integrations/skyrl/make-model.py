"""Writes a tiny random Qwen3 model with a tokenizer, both as transformers saves them: 2 layers of width 32, 64 words."""

import sys

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

folder = sys.argv[1]
torch.manual_seed(0)
config = Qwen3Config(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=128,
    tie_word_embeddings=True,
    # Ten times the usual, or all words would be about equally likely.
    initializer_range=0.2,
    eos_token_id=0,
)
Qwen3ForCausalLM(config).save_pretrained(folder)
words = {word: i for i, word in enumerate(["<eos>", "<unk>", *map(str, range(62))])}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>").save_pretrained(folder)

"Other people's implementations as oracles"
import pytest
import torch

from semids.beam_search import Trie, beam_search
from semids.hugging_face import to_hf
from semids.tiger import TIGER, NextCode, TIGERSettings

transformers = pytest.importorskip('transformers')

def nested_dicts(rows):
    "A trie as most open code has it"
    root = {}
    for row in rows:
        node = root
        for token in row: node = node.setdefault(token, {})
    return root

class Children(transformers.LogitsProcessor):
    "Each place has the tokens that the trie allows, and these share the whole probability"
    def __init__(self, trie):
        self.trie = trie

    def __call__(self, input_ids, scores):
        out = torch.full_like(scores, -torch.inf)
        for b, prefix in enumerate(input_ids[:, 1:].tolist()):
            node = self.trie
            for token in prefix: node = node.get(token, {})
            exists = list(node)
            out[b, exists] = scores[b, exists].log_softmax(-1)
        return out

def test_top_10_is_that_of_transformers_generate():
    "The same weights in `generate`, constrained by a trie of dictionaries, give the same ten items"
    torch.manual_seed(0)
    M, K, B, W = 3, 16, 5, 30
    model = TIGER(M, K, TIGERSettings(d=32, heads=2, d_head=16, d_ff=64, layers=2)).eval()
    codes_NM = torch.unique(torch.randint(K, (200, M)), dim=0)
    history_BTM = codes_NM[torch.randint(len(codes_NM), (B, 4))]
    history_BTM[0, :2] = -1
    # their tokens, by the rule written out: 0 is padding, then K tokens for each level
    tokens_NM = codes_NM + torch.arange(M)*K + 1
    shifted_BTM = history_BTM + torch.arange(M)*K + 1
    tokens_BS = torch.where(history_BTM >= 0, shifted_BTM, 0).flatten(1)
    processor = Children(nested_dicts(tokens_NM.tolist()))

    with torch.inference_mode():
        next_code = NextCode(model, history_BTM)
        items_Bk, logp_Bk = beam_search(next_code, Trie(codes_NM), B, W, 10)
        out = to_hf(model).generate(
            input_ids=tokens_BS, attention_mask=(tokens_BS > 0).long(), num_beams=W,
            num_return_sequences=10, max_new_tokens=M, do_sample=False, length_penalty=0.,
            early_stopping=False, return_dict_in_generate=True, output_scores=True,
            logits_processor=transformers.LogitsProcessorList([processor]))
    assert torch.equal(out.sequences[:, 1:].view(B, 10, M), tokens_NM[items_Bk])
    torch.testing.assert_close(out.sequences_scores.view(B, 10), logp_Bk, atol=1e-4, rtol=0)

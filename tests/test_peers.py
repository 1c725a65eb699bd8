"Other people's implementations as oracles"
import pytest
import torch

from semids.beam_search import Trie, beam_search
from semids.tiger import TIGER, NextCode, to_hf

transformers = pytest.importorskip('transformers')

def test_top_10_is_that_of_transformers_generate():
    "The same weights in `generate`, constrained by a trie of Python dictionaries, give the same ten items"
    torch.manual_seed(0)
    M, K, B, W = 3, 16, 5, 30
    model = TIGER(M, K, d=32, heads=2, d_head=16, d_ff=64, layers=2).eval()
    codes_NM = torch.unique(torch.randint(K, (200, M)), dim=0)
    tokens_NM = codes_NM + torch.arange(M)*K + 1
    tokens_BS = tokens_NM[torch.randint(len(codes_NM), (B, 4))].flatten(1)
    tokens_BS[0, :2*M] = 0
    nested = {}
    for row in tokens_NM.tolist():
        node = nested
        for token in row: node = node.setdefault(token, {})

    class OneLevel(transformers.LogitsProcessor):
        "Each place has the tokens of its own level, and of those only what the trie allows"
        def __call__(self, input_ids, scores):
            m = input_ids.shape[1]-1
            level = slice(1+m*K, 1+(m+1)*K)
            out = torch.full_like(scores, -torch.inf)
            logp = scores[:, level].log_softmax(-1)
            for b, prefix in enumerate(input_ids[:, 1:].tolist()):
                node = nested
                for token in prefix: node = node.get(token, {})
                for token in node: out[b, token] = logp[b, token-1-m*K]
            return out

    with torch.inference_mode():
        items_BK, logp_BK = beam_search(NextCode(model, tokens_BS), Trie(codes_NM), B, W, 10)
        out = to_hf(model).generate(input_ids=tokens_BS, attention_mask=(tokens_BS > 0).long(), num_beams=W, num_return_sequences=10, max_new_tokens=M,
                                    do_sample=False, length_penalty=0., early_stopping=False, return_dict_in_generate=True, output_scores=True,
                                    logits_processor=transformers.LogitsProcessorList([OneLevel()]))
    assert torch.equal(out.sequences[:, 1:].view(B, 10, M), tokens_NM[items_BK])
    torch.testing.assert_close(out.sequences_scores.view(B, 10), logp_BK, atol=1e-4, rtol=0)

"""Decoding with 50 beams over the items that exist, users per second, 64 users at a time, the same weights.

    python tests/benchmarks/decoding.py

The peer is `transformers`' `generate` with `prefix_allowed_tokens_fn` over nested dicts, as most open TIGER code has it. One thing is
added to it: log-probabilities are normalized over the codes of a level, as ours are, so that both search for the same thing; before
the clock runs, the ten best items of 64 users are compared. Weights are random. A call is for 64 users in random order, padded to the
longest history. For the peer it is measured too what it gains if its users are sorted by length first, 256 at a time.
"""
import itertools
from functools import partial
from beauty import DATA, SIZE, sequences
from sidebyside import main

def setting():
    "The histories, the model, and the users in the order of a shuffle"
    import torch
    from semids.tiger import TIGER
    torch.manual_seed(0)
    seqs,model = sequences(),TIGER(**SIZE).eval()
    return seqs,model,torch.randperm(len(seqs.test), generator=torch.Generator().manual_seed(0))

def rounds(seqs, order, best, calls, in_order=False):
    "A round: some calls for 64 users each"
    users = itertools.cycle(order.split(64*calls)[:50])
    def work():
        rows = next(users)
        for rows in (rows[seqs.test.lengths_X[rows].argsort()] if in_order else rows).split(64): best(rows)
        return 64*calls
    return work

def ours(device):
    from semids.tiger import TIGERRecommender
    seqs,model,order = setting()
    recommend = TIGERRecommender(model.to(device), seqs.tokens_NM, beams=50)
    def best(rows): return recommend(seqs.test.histories(rows, 20), 10, mask_seen=False)[0]
    return rounds(seqs, order, best, calls=4),dict(precision='fp32', flops=True, top=best(order[:64]).tolist())

def transformers(device, **how):
    import torch
    from transformers import LogitsProcessorList
    from transformers.generation import PrefixConstrainedLogitsProcessor
    from semids.tiger import to_hf
    seqs,model,order = setting()
    theirs = to_hf(model).to(device)
    nested = {}
    for row in seqs.tokens_NM.tolist():
        node = nested
        for token in row: node = node.setdefault(token, {})
    def allowed(user, prefix):
        node = nested
        for token in prefix[1:].tolist(): node = node.get(token, {})
        return list(node) or [0]
    class OneLevel(PrefixConstrainedLogitsProcessor):
        def __call__(self, input_ids, scores):
            m = input_ids.shape[1]-1
            return super().__call__(input_ids, scores-scores[:,1+m*256:1+(m+1)*256].logsumexp(1, keepdim=True))
    processors = LogitsProcessorList([OneLevel(allowed, 50)])
    def best(rows):
        tokens_BS = seqs.tokens(seqs.test.histories(rows, 20)).to(device)
        with torch.inference_mode():
            return theirs.generate(input_ids=tokens_BS, attention_mask=(tokens_BS>0).long(), num_beams=50, num_return_sequences=10, max_new_tokens=4,
                                   do_sample=False, length_penalty=0., early_stopping=False, logits_processor=processors)
    item_of = {tuple(row):n for n,row in enumerate(seqs.tokens_NM.tolist())}
    first = [item_of[tuple(row)] for row in best(order[:64])[:,1:].tolist()]
    return rounds(seqs, order, best, **how),dict(precision='fp32', flops=True, top=torch.tensor(first).view(64, 10).tolist())

if __name__=='__main__':
    main({'semids':ours, 'transformers generate':partial(transformers, calls=1),
          'transformers, sorted':partial(transformers, calls=4, in_order=True)}, 'users', same='top', data=DATA)

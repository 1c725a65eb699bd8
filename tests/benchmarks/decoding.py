"""Decoding with 50 beams over the items that exist, users per second, 64 at a time, same weights.

    python tests/benchmarks/decoding.py

The peer is `transformers`' `generate` with `prefix_allowed_tokens_fn` over nested dicts, as most
open TIGER code has it. It runs with `renormalize_logits`, so that the codes that exist share the
whole probability, as ours do, and both search for the same thing; before the clock runs, the ten
best items of 64 users are compared. Weights are random. A call is for 64 users in random order,
padded to the longest history. For the peer it is measured too what it gains if its users are sorted
by length first, 256 at a time.
"""
import itertools
from functools import partial
from beauty import DATA, K, M, sequences, tiger
from sidebyside import main

def setting():
    "The histories, the model, and the users in the order of a shuffle"
    import torch
    torch.manual_seed(0)
    seqs = sequences()
    model = tiger().eval()
    order = torch.randperm(len(seqs.split.test), generator=torch.Generator().manual_seed(0))
    return seqs,model,order

def rounds(seqs, order, best, calls, in_order=False):
    "A round: some calls for 64 users each"
    users = itertools.cycle(order.split(64*calls)[:50])
    lengths_X = seqs.split.test.lengths_X
    def work():
        rows = next(users)
        if in_order: rows = rows[lengths_X[rows].argsort()]
        for some in rows.split(64): best(some)
        return 64*calls
    return work

def ours(device):
    from semids.tiger import TIGERRecommender
    seqs,model,order = setting()
    recommend = TIGERRecommender(model.to(device), seqs.ids.codes_NM, beams=50)
    def best(rows):
        items_Bk,_ = recommend(seqs.split.test.histories(rows, 20), 10, mask_seen=False)
        return items_Bk
    return rounds(seqs, order, best, calls=4),dict(precision='fp32', flops=True,
                                                   top=best(order[:64]).tolist())

def nested_dicts(tokens_NM):
    "The trie as most code has it, and the function that `generate` asks"
    root = {}
    for row in tokens_NM.tolist():
        node = root
        for token in row: node = node.setdefault(token, {})
    def allowed(user, prefix):
        node = root
        for token in prefix[1:].tolist(): node = node.get(token, {})
        return list(node) or [0]
    return allowed

def transformers(device, **how):
    import torch
    from semids.hugging_face import to_hf
    seqs,model,order = setting()
    theirs = to_hf(model).to(device)
    levels = torch.arange(M)
    tokens_NM = model.token(seqs.ids.codes_NM, levels)
    allowed = nested_dicts(tokens_NM)
    def best(rows):
        codes_BTM = seqs.codes(seqs.split.test.histories(rows, 20))
        tokens_BS = model.token(codes_BTM, levels).flatten(1).to(device)
        with torch.inference_mode():
            return theirs.generate(
                input_ids=tokens_BS, attention_mask=(tokens_BS>0).long(), num_beams=50,
                num_return_sequences=10, max_new_tokens=M, do_sample=False, length_penalty=0.,
                early_stopping=False, prefix_allowed_tokens_fn=allowed, renormalize_logits=True)
    item_of = {tuple(row):n for n,row in enumerate(tokens_NM.tolist())}
    first = [item_of[tuple(row)] for row in best(order[:64])[:,1:].tolist()]
    top = torch.tensor(first).view(64, 10).tolist()
    return rounds(seqs, order, best, **how),dict(precision='fp32', flops=True, top=top)

PROGRAMS = {'semids':ours,
            'transformers generate':partial(transformers, calls=1),
            'transformers, sorted':partial(transformers, calls=4, in_order=True)}

if __name__=='__main__': main(PROGRAMS, 'users', same='top', data=DATA)

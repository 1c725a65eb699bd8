"""Training TIGER, examples (targets) per second, at the size of the paper.

    python tests/benchmarks/tiger_training.py

4+4 blocks, width 128, 6 heads of 64, feed-forward 1024, IDs of 4 codes, histories to 20 items. The
peer is `transformers`' T5 of the same size; its batches are 256 histories in random order, padded
to the longest of them, which nearly always has 80 tokens. What it gains from batches of similar
length is measured too. Ours has batches of similar length: with one target a history, as the paper
has it, or with all of them in one pass (`causal`).
"""
from beauty import DATA, M, sequences, tiger
from sidebyside import main

def loop(model, made, loss_of, precision, device, steps):
    "A round: some optimizer steps; returns how many targets they had"
    import itertools, torch
    model = model.to(device).train()
    count = itertools.count()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=.035, fused=True)
    def work():
        targets = 0
        for _ in range(steps):
            batch = [x.to(device) for x in made.get(made.rows(next(count)))]
            with torch.autocast(device, torch.bfloat16, enabled=precision=='bf16'):
                loss,n = loss_of(model, *batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            optimizer.step()
            optimizer.zero_grad()
            targets += n
        return targets
    return work,dict(precision=precision, flops=True)

def ours(causal, precision):
    def make(device):
        from semids.tiger import tiger_batches
        model = tiger(causal)
        # 48 histories have about 256 targets
        made = tiger_batches(sequences(), model, 48 if causal else 256)
        def loss_of(model, *batch):
            loss,_,n = model(*batch)
            return loss,n
        return loop(model, made, loss_of, precision, device, steps=8)
    return make

def transformers(precision, in_order=False):
    def make(device):
        import torch
        from semids.hugging_face import to_hf
        from semids.training import Batches
        seqs = sequences()
        model = tiger()
        prefixes = seqs.split.train.prefixes()
        def tokens(items_BT): return model.token(seqs.codes(items_BT), torch.arange(M)).flatten(1)
        def get(rows_B):
            targets_B1 = prefixes.target_X[rows_B][:,None]
            return tokens(prefixes.histories(rows_B, 20)),tokens(targets_B1)
        lengths_X = prefixes.lengths_X.clamp(max=20) if in_order else None
        made = Batches(len(prefixes), 256, get, lengths_X=lengths_X)
        def loss_of(theirs, tokens_BS, target_BM):
            mask_BS = (tokens_BS>0).long()
            found = theirs(input_ids=tokens_BS, attention_mask=mask_BS, labels=target_BM)
            return found.loss,len(tokens_BS)
        steps = 4 if in_order else 1
        return loop(to_hf(model), made, loss_of, precision, device, steps)
    return make

PROGRAMS = {
    'semids, one pass, bf16':ours(True, 'bf16'), 'semids, one pass, fp32':ours(True, 'fp32'),
    'semids, paper, bf16':ours(False, 'bf16'), 'semids, paper, fp32':ours(False, 'fp32'),
    'transformers T5, bf16':transformers('bf16'), 'transformers T5, fp32':transformers('fp32'),
    'transformers T5, sorted, bf16':transformers('bf16', in_order=True)}

if __name__=='__main__': main(PROGRAMS, 'targets', data=DATA)

"""Training TIGER, examples (targets) per second: 4+4 blocks, width 128, 6 heads of 64, feed-forward 1024, IDs of 4 codes, histories to 20 items.

    python tests/benchmarks/tiger_training.py

The peer is `transformers`' T5 of the same size; its batches are 256 histories in random order, padded to the longest of them, which
nearly always has 80 tokens. What it gains from batches of similar length is measured too. Ours has batches of similar length: with one
target a history, as the paper has it, or with all of them in one pass (`causal`).
"""
from beauty import DATA, SIZE, sequences
from sidebyside import main

def loop(model, made, loss_of, precision, device, steps):
    "A round: some optimizer steps; returns how many targets they had"
    import itertools, torch
    model,count = model.to(device).train(),itertools.count()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=.035, fused=True)
    def work():
        targets = 0
        for _ in range(steps):
            batch = [x.to(device) for x in made.get(made.rows(next(count)))]
            with torch.autocast(device, torch.bfloat16, enabled=precision=='bf16'): loss,n = loss_of(model, *batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            optimizer.step()
            optimizer.zero_grad()
            targets += n
        return targets
    return work,dict(precision=precision, flops=True)

def ours(causal, precision):
    def make(device):
        from semids.tiger import TIGER, training_batches
        model = TIGER(**SIZE, causal=causal)
        made = training_batches(sequences(), model, 48 if causal else 256)         # 48 histories have about 256 targets
        def loss_of(model, *batch):
            loss,_,n = model(*batch)
            return loss,n
        return loop(model, made, loss_of, precision, device, steps=8)
    return make

def transformers(precision, in_order=False):
    def make(device):
        from semids.tiger import TIGER, to_hf
        from semids.training import Batches
        seqs = sequences()
        made = Batches(len(seqs.train), 256, lambda rows_B: (seqs.tokens(seqs.train.histories(rows_B, 20)),seqs.tokens_NM[seqs.train.target_X[rows_B]]),
                       lengths_X=seqs.train.lengths_X.clamp(max=20) if in_order else None)
        def loss_of(theirs, tokens_BS, target_BM):
            return theirs(input_ids=tokens_BS, attention_mask=(tokens_BS>0).long(), labels=target_BM).loss,len(tokens_BS)
        return loop(to_hf(TIGER(**SIZE)), made, loss_of, precision, device, steps=4 if in_order else 1)
    return make

PROGRAMS = {'semids, one pass, bf16':ours(True, 'bf16'), 'semids, one pass, fp32':ours(True, 'fp32'), 'semids, paper, bf16':ours(False, 'bf16'),
            'semids, paper, fp32':ours(False, 'fp32'), 'transformers T5, bf16':transformers('bf16'), 'transformers T5, fp32':transformers('fp32'),
            'transformers T5, sorted, bf16':transformers('bf16', in_order=True)}

if __name__=='__main__': main(PROGRAMS, 'targets', data=DATA)

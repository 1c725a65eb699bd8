"""Training TIGER, examples (targets) per second: 4+4 blocks, width 128, 6 heads of 64, feed-forward 1024, IDs of 4 codes, histories to 20 items.

    python tests/benchmarks/tiger_training.py

The peer is `transformers`' T5 of the same size with its usual padding: every batch is 256 x 80 tokens. Ours has batches of similar
length: with one target a history, as the paper has it, or with all of them in one pass (`causal`).
"""
from sidebyside import main

SIZE = dict(M=4, K=256, d=128, heads=6, d_head=64, d_ff=1024, layers=4)

def loop(get, model, loss_of, precision, device, steps, one_target=256):
    "A round: some optimizer steps; returns how many targets they had"
    import torch
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=.035, fused=True)
    def work():
        targets = 0
        for _ in range(steps):
            batch = [x.to(device) for x in get()]
            with torch.autocast(device, torch.bfloat16, enabled=precision=='bf16'): loss,n = loss_of(model, *batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            optimizer.step()
            optimizer.zero_grad()
            targets += n
        return targets
    return work,dict(precision=precision, flops=True)

def batches(seqs, batch_size, causal):
    "Batches as `train_tiger` makes them, one after the other"
    import itertools
    from semids.tiger import training_batches
    made = training_batches(seqs, batch_size, causal)
    count = itertools.count()
    return lambda: made.get(made.rows(next(count)))

def ours(causal, precision):
    def make(device):
        from beauty import sequences
        from semids.tiger import TIGER
        get = batches(sequences(), 48 if causal else 256, causal)                  # 48 histories have about 256 targets
        def loss_of(model, *batch):
            loss,_,n = model(*batch)
            return loss,n
        return loop(get, TIGER(**SIZE, causal=causal), loss_of, precision, device, steps=8)
    return make

def transformers(precision):
    def make(device):
        import torch.nn.functional as F
        from beauty import sequences
        from semids.tiger import TIGER, to_hf
        get = batches(sequences(), 256, False)
        def loss_of(model, tokens_BS, target_B1M):
            tokens_BS = F.pad(tokens_BS, (80-tokens_BS.shape[1], 0))
            return model(input_ids=tokens_BS, attention_mask=(tokens_BS>0).long(), labels=target_B1M[:,0]).loss,len(tokens_BS)
        return loop(get, to_hf(TIGER(**SIZE)), loss_of, precision, device, steps=1)
    return make

PROGRAMS = {'semids, one pass, bf16':ours(True, 'bf16'), 'semids, one pass, fp32':ours(True, 'fp32'), 'semids, paper, bf16':ours(False, 'bf16'),
            'semids, paper, fp32':ours(False, 'fp32'), 'transformers T5, bf16':transformers('bf16'), 'transformers T5, fp32':transformers('fp32')}

if __name__=='__main__': main(PROGRAMS, 'targets')

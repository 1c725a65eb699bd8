"""Training steps of an RQ-VAE: vectors of width 768, batches of 1024.

    python tests/benchmarks/rqvae.py --peers peers/bin/python

Hidden layers 512, 256, 128, latent width 64, 3 levels of 256 codewords. The peer is
`vector-quantize-pytorch`'s ResidualVQ, as it comes (codebooks by moving averages), between the same
encoder and decoder, with the same optimizer. That encoder and decoder without any quantizer are the
limit for both.
"""
from sidebyside import main

def loop(model, loss_of, precision, device):
    import torch
    model = model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    g = torch.Generator().manual_seed(0)
    x_NE = torch.randn(20_000, 768, generator=g).to(device)
    def work():
        for i in range(20):
            x_BE = x_NE[torch.randint(len(x_NE), (1024,))]
            with torch.autocast(device, torch.bfloat16, enabled=precision=='bf16'):
                loss = loss_of(model, x_BE)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            optimizer.step()
            optimizer.zero_grad()
        return 20
    return work,dict(precision=precision, flops=True)

def ours(precision):
    def make(device):
        import torch
        from semids.rqvae import RQVAE, RQVAESettings
        torch.manual_seed(0)
        model = RQVAE(768, 0, RQVAESettings(C=64, M=3, K=256, alpha=0.)).train()
        return loop(model, lambda model, x_BE: model(x_BE)[0], precision, device)
    return make

def residual_vq(precision, quantizer=True):
    def make(device):
        import torch, torch.nn as nn, torch.nn.functional as F
        torch.manual_seed(0)
        def mlp(widths):
            layers = []
            for a,b in zip(widths, widths[1:]): layers += [nn.Linear(a, b), nn.ReLU()]
            return nn.Sequential(*layers[:-1])
        widths = [768,512,256,128,64]
        parts = dict(encoder=mlp(widths), decoder=mlp(widths[::-1]))
        if quantizer:
            from vector_quantize_pytorch import ResidualVQ
            parts['quantizer'] = ResidualVQ(dim=64, num_quantizers=3, codebook_size=256)
        def loss_of(model, x_BE):
            z_BC = model['encoder'](x_BE)
            if not quantizer: return F.mse_loss(model['decoder'](z_BC), x_BE)
            through_BC,_,losses_M = model['quantizer'](z_BC)
            return F.mse_loss(model['decoder'](through_BC), x_BE)+losses_M.sum()
        return loop(nn.ModuleDict(parts).train(), loss_of, precision, device)
    return make

PROGRAMS = {'semids':ours('fp32'), 'semids, bf16':ours('bf16'),
            'ResidualVQ':residual_vq('fp32'), 'ResidualVQ, bf16':residual_vq('bf16'),
            'no quantizer':residual_vq('fp32', False),
            'no quantizer, bf16':residual_vq('bf16', False)}

if __name__=='__main__': main(PROGRAMS, 'steps', peers=['ResidualVQ','ResidualVQ, bf16'])

"""Semantic IDs for a million vectors of width 768: how much more than the matrix products alone?

    python tests/benchmarks/quantize.py
"""
from sidebyside import main

def setting(device):
    import torch
    from semids.rqvae import RQVAE, RQVAESettings
    torch.manual_seed(0)
    model = RQVAE(768, 0, RQVAESettings(C=64, M=3, K=256, alpha=0.)).eval().to(device)
    return model,torch.randn(1_000_000, 768)

def ours(device):
    from semids.semantic_ids import encode_items
    model,x_NE = setting(device)
    def work():
        encode_items(model, x_NE)
        return len(x_NE)
    return work,dict(precision='fp32')

def products(device):
    "The products of the encoder's layers and of vectors with codewords, nothing else"
    model,x_NE = setting(device)
    weights = [layer.weight.detach().T for layer in model.encoder if hasattr(layer, 'weight')]
    codebooks = model.codebooks_MKC.detach()
    def work():
        for x in x_NE.split(8192):
            x = x.to(device)
            for w in weights: x = x@w
            for c in codebooks: x@c.T
        return len(x_NE)
    return work,dict(precision='fp32')

if __name__=='__main__': main({'semids':ours, 'products alone':products}, 'vectors')

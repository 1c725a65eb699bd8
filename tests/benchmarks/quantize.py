"""Semantic IDs for a million vectors of width 768 with a trained encoder: how much more than its matrix products alone?

    python tests/benchmarks/quantize.py
"""
from sidebyside import main

def setting(device):
    import torch
    from semids.rqvae import RQVAE
    torch.manual_seed(0)
    return RQVAE(E=768, C=64, M=3, K=256).eval().to(device),torch.randn(1_000_000, 768)

def ours(device):
    import torch
    from semids.semantic_ids import encode_items
    model,x_NE = setting(device)
    def work():
        encode_items(model, x_NE)
        return len(x_NE)
    return work,dict(precision='fp32')

def products(device):
    "The products of the encoder's layers and of vectors with codewords, nothing else"
    import torch
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

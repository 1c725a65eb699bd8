"""interim"""
__all__ = ['TrainingSettings','Batches','lr_factor','Best','Curves','fit','save_model','load_model']
import inspect, math, time
from dataclasses import dataclass
from pathlib import Path
import safetensors.torch
import torch
from torch import Tensor
from tqdm.auto import tqdm
from .files import read_json, write_beside, write_json
from .settings import Settings, option

@dataclass(frozen=True)
class TrainingSettings(Settings):
    "How a model is trained"
    steps:int = option(10_000, 'optimizer steps, at most', low=1)
    batch_size:int = option(256, 'examples in a batch, of all processes together', low=1)
    lr:float = option(1e-3, 'learning rate of AdamW, at its highest', above=0)
    weight_decay:float = option(0., "AdamW's", low=0)
    warmup:int = option(0, 'steps in which the learning rate rises', low=0)
    schedule:str = option('cosine', 'the learning rate afterwards', among=('cosine','constant'))
    clip:float = option(1., 'gradients are scaled down to this norm', above=0)
    every:int = option(100, 'steps between validations', low=1)
    patience:int = option(0, 'stop after so many validations without a better score; 0: never', low=0)

class Batches:
    def __init__(self, n, batch_size, get, seed=0, lengths_X=None):
        if n<1: raise ValueError('no examples to train on; are there users with more than three actions?')
        self.n = n; self.batch_size = min(batch_size, n); self.get = get; self.seed = seed; self.lengths_X = lengths_X
        self._epoch = None
    def __len__(self): return self.n//self.batch_size
    def rows(self, step):
        epoch,i = divmod(step, len(self))
        if self._epoch!=epoch: self._epoch,self._batches = epoch,self._shuffle(epoch)
        return self._batches[i]
    def _shuffle(self, epoch):
        g = torch.Generator().manual_seed(self.seed*1_000_003+epoch)
        rows_X = torch.randperm(self.n, generator=g)[:len(self)*self.batch_size]
        if self.lengths_X is None: return rows_X.view(len(self), self.batch_size)
        pieces = rows_X.split(50*self.batch_size)
        rows_X = torch.cat([piece[self.lengths_X[piece].argsort(stable=True)] for piece in pieces])
        return rows_X.view(len(self), self.batch_size)[torch.randperm(len(self), generator=g)]

def lr_factor(step, settings):
    if step<settings.warmup: return (step+1)/settings.warmup
    if settings.schedule=='constant': return 1.
    return .5*(1+math.cos(math.pi*(step-settings.warmup)/max(settings.steps-settings.warmup, 1)))

def fit(model, batches, settings, validate=None, before_validation=None, folder=None, logs=None, precision='no', cpu=False, seed=0):
    from accelerate import Accelerator, PartialState
    from accelerate.state import AcceleratorState
    from accelerate.utils import set_seed
    from torch.utils.tensorboard import SummaryWriter
    AcceleratorState._reset_state(reset_partial_state=PartialState(cpu=cpu).num_processes==1)
    accelerator = Accelerator(mixed_precision=precision, cpu=cpu)
    rank,world,device = accelerator.process_index,accelerator.num_processes,accelerator.device
    steps = settings.steps
    set_seed(seed, device_specific=True)
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay, betas=(.9,.999), fused=True)
    wrapped,optimizer = accelerator.prepare(model, optimizer)
    writer = SummaryWriter(logs) if logs and accelerator.is_main_process else None
    found = dict(train=[], valid=[], best_step=0, best_score=-math.inf)
    best,began,sums,worse = None,time.time(),{},0
    progress = tqdm(range(steps), disable=not accelerator.is_main_process, leave=False, mininterval=1)
    for step in progress:
        wrapped.train()
        batch = [x.to(device) for x in batches.get(batches.rows(step)[rank::world])]
        for group in optimizer.param_groups: group['lr'] = settings.lr*lr_factor(step, settings)
        loss,numbers,weight = wrapped(*batch)
        share = 1. if world==1 else world*weight/accelerator.reduce(torch.as_tensor(float(weight), device=device))
        accelerator.backward(loss*share)
        norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        for name,value in (dict(loss=loss, gradient_norm=norm) | numbers).items(): sums[name] = sums.get(name, 0)+torch.as_tensor(value).detach()
        if step+1==steps or (step+1)%settings.every==0:
            since = step+1-(found['train'][-1]['step'] if found['train'] else 0)
            found['train'].append(dict(step=step+1, **{name:(value/since).item() for name,value in sums.items()}))
            sums = {}
            _log(writer, 'train', found['train'][-1] | {'learning_rate':optimizer.param_groups[0]['lr']})
            if validate is None: continue
            model.eval()
            with torch.inference_mode():
                more = before_validation(model) if before_validation else {}
                numbers = validate(model) | more
            _log(writer, 'valid', numbers | dict(step=step+1))
            found['valid'].append({'step':step+1} | {name:value for name,value in numbers.items() if not torch.is_tensor(value)})
            if not math.isfinite(numbers['score']): raise ValueError(f"the validation score is {numbers['score']} at step {step+1}: the training has diverged; try a lower learning rate than {settings.lr}")
            worse += 1
            if numbers['score']>found['best_score']:
                worse = 0
                found |= dict(best_step=step+1, best_score=numbers['score'])
                best = {name:value.detach().clone() for name,value in model.state_dict().items()}
            elif settings.patience and worse>=settings.patience: break
    if best is not None: model.load_state_dict(best)
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False).eval()
    if writer: writer.close()
    return found | dict(steps=step+1, seconds=time.time()-began)

def _log(writer, part, numbers):
    if writer is None: return
    for name,value in numbers.items():
        if torch.is_tensor(value): writer.add_histogram(f'{name}/{part}', value, numbers['step'])
        elif name!='step': writer.add_scalar(f'{name}/{part}', value, numbers['step'])

def save_model(model, folder, **extra):
    folder = Path(folder)
    with write_beside(folder/'model.safetensors') as part:
        safetensors.torch.save_file({k:v.detach().cpu().contiguous() for k,v in model.state_dict().items()}, part)
    write_json(folder/'config.json', dict(sizes=model.sizes, settings=model.settings.to_dict(), **extra))

def load_model(cls, folder):
    folder = Path(folder)
    for name in ('config.json','model.safetensors'):
        if not (folder/name).exists(): raise ValueError(f'{folder/name}: no such file; expected a trained {cls.__name__}')
    extra = read_json(folder/'config.json')
    kind = inspect.signature(cls).parameters['settings'].annotation
    try: model = cls(**extra.pop('sizes'), settings=kind().update(extra.pop('settings'), str(folder/'config.json')))
    except (TypeError,KeyError) as e: raise ValueError(f'{folder/"config.json"}: not the settings of a {cls.__name__}: {e}') from None
    try: have = safetensors.torch.load_file(folder/'model.safetensors')
    except Exception as e: raise ValueError(f'{folder/"model.safetensors"}: not readable as safetensors: {e}') from None
    want = model.state_dict()
    for name in sorted(set(want)|set(have)):
        shapes = [tuple(d[name].shape) if name in d else 'none' for d in (have,want)]
        if shapes[0]!=shapes[1]: raise ValueError(f'{folder/"model.safetensors"}: tensor {name!r} has shape {shapes[0]}; expected {shapes[1]}')
    model.load_state_dict(have)
    return model.eval(), extra

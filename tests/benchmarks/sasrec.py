"""An epoch of SASRec: width 64, 1 block, 1 head, histories to 50 items, softmax over all items.

    python tests/benchmarks/sasrec.py --peers peers/bin/python

Batches of 128 users. The peer is RecTools' SASRec with the same settings (its defaults are larger)
and its own optimizer and training loop; of its round only the epoch counts, not the preparation of
the data. It learns from the latest 51 actions of a user, ours from all. Ours has batches of similar
length.
"""
from beauty import DATA, flat
from sidebyside import main

def ours(precision):
    def make(device):
        from semids.interactions import Interactions
        from semids.sasrec import SASRec, SASRecSettings, sasrec_batches
        from semids.splits import leave_one_out
        from semids.training import TrainingSettings, fit
        split = leave_one_out(Interactions.from_flat(*flat()))
        settings = SASRecSettings(d=64, heads=1, layers=1, max_len=50, dropout=.2)
        model = SASRec(split.n_items, settings)
        batches = sasrec_batches(split, 50, 128)
        epoch = TrainingSettings(steps=len(batches), every=len(batches), batch_size=128, lr=1e-3,
                                 schedule='constant')
        def work():
            fit(model, batches, epoch, precision=precision, cpu=device=='cpu')
            return 1
        return work,dict(precision=dict(no='fp32').get(precision, precision), flops=True)
    return make

def training_part():
    "RecTools' data: all but the last two actions of every user"
    import pandas
    from rectools.dataset import Dataset
    users,items = flat()
    times = pandas.to_datetime(range(len(users)), unit='s')
    frame = pandas.DataFrame(dict(user_id=users, item_id=items, weight=1., datetime=times))
    to_come = frame.groupby('user_id').cumcount(ascending=False)
    return Dataset.construct(frame[to_come>=2])

def rectools(device):
    import logging, time, warnings
    from pytorch_lightning import Callback, Trainer
    from rectools.models import SASRecModel
    warnings.simplefilter('ignore')
    logging.getLogger('pytorch_lightning').setLevel(logging.ERROR)
    dataset = training_part()
    class Epoch(Callback):
        def on_train_epoch_start(self, trainer, module): Epoch.start = time.perf_counter()
        def on_train_epoch_end(self, trainer, module):
            Epoch.seconds = time.perf_counter()-Epoch.start
    def trainer():
        accelerator = 'cpu' if device=='cpu' else 'gpu'
        return Trainer(callbacks=[Epoch()], max_epochs=1, min_epochs=1, accelerator=accelerator,
                       devices=1, logger=False, enable_progress_bar=False,
                       enable_model_summary=False, enable_checkpointing=False)
    model = SASRecModel(n_blocks=1, n_heads=1, n_factors=64, session_max_len=50, dropout_rate=.2,
                        loss='softmax', batch_size=128, epochs=1, get_trainer_func=trainer)
    def work():
        model.fit(dataset)
        return 1,Epoch.seconds
    return work,dict(precision='fp32')

PROGRAMS = {'semids':ours('no'), 'semids, bf16':ours('bf16'), 'RecTools SASRec':rectools}

if __name__=='__main__': main(PROGRAMS, 'epochs', peers=['RecTools SASRec'], data=DATA)

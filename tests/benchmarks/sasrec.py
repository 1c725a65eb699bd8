"""An epoch of SASRec: width 64, 1 block, 1 head, histories to 50 items, softmax over the catalogue, batches of 128 users.

    python tests/benchmarks/sasrec.py --peers peers/bin/python

The peer is RecTools' SASRec with the same settings (its defaults are larger) and its own optimizer and training loop; of its round only
the epoch counts, not the preparation of the data. It learns from the latest 51 actions of a user, ours from all. Ours has batches of
similar length.
"""
from beauty import DATA, flat
from sidebyside import main

def ours(precision):
    def make(device):
        from semids.data import Interactions, leave_one_out
        from semids.sasrec import SASRec, training_batches
        from semids.training import fit
        split = leave_one_out(Interactions.from_flat(*flat()))
        model = SASRec(len(split.train.item_ids), d=64, heads=1, layers=1, max_len=50, dropout=.2)
        batches = training_batches(split, 50, 128)
        def work():
            fit(model, batches, len(batches), 1e-3, schedule='constant', precision=precision, cpu=device=='cpu')
            return 1
        return work,dict(precision=dict(no='fp32').get(precision, precision), flops=True)
    return make

def rectools(device):
    import logging, pandas, time, warnings
    from pytorch_lightning import Callback, Trainer
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel
    warnings.simplefilter('ignore')
    logging.getLogger('pytorch_lightning').setLevel(logging.ERROR)
    users,items = flat()
    frame = pandas.DataFrame(dict(user_id=users, item_id=items, weight=1., datetime=pandas.to_datetime(range(len(users)), unit='s')))
    frame = frame[frame.groupby('user_id').cumcount(ascending=False)>=2]                     # the last two are validation and test
    dataset = Dataset.construct(frame)
    class Epoch(Callback):
        def on_train_epoch_start(self, trainer, module): Epoch.start = time.perf_counter()
        def on_train_epoch_end(self, trainer, module): Epoch.seconds = time.perf_counter()-Epoch.start
    def trainer(): return Trainer(callbacks=[Epoch()], max_epochs=1, min_epochs=1, accelerator='cpu' if device=='cpu' else 'gpu', devices=1, logger=False,
                                  enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
    model = SASRecModel(n_blocks=1, n_heads=1, n_factors=64, session_max_len=50, dropout_rate=.2, loss='softmax', batch_size=128, epochs=1, get_trainer_func=trainer)
    def work():
        model.fit(dataset)
        return 1,Epoch.seconds
    return work,dict(precision='fp32')

PROGRAMS = {'semids':ours('no'), 'semids, bf16':ours('bf16'), 'RecTools SASRec':rectools}

if __name__=='__main__': main(PROGRAMS, 'epochs', peers=['RecTools SASRec'], data=DATA)

__version__ = "0.1.0"

import multiprocessing, os

if os.environ.get('IN_TEST') and multiprocessing.parent_process():  # `nbdev_test` runs a notebook on every core; threads of their own would only wait for each other
    import torch
    torch.set_num_threads(1)

"Everything is read from settings.ini; edit that file, not this one."
import shlex
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=['='])
config.read(here/'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
assert cfg['license'] == 'apache2'

extras = {name: shlex.split(cfg[f'{name}_requirements']) for name in ('dev', 'text', 'hf', 'serve')}
nbdev_index = f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    keywords=cfg['keywords'],
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    license='Apache-2.0',
    long_description=(here/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['semids', 'semids.*']),
    package_data={'semids': ['configs/*.json']},
    python_requires='>=' + cfg['min_python'],
    install_requires=shlex.split(cfg['requirements']),
    extras_require=extras,
    entry_points=dict(console_scripts=cfg['console_scripts'].split(), nbdev=[nbdev_index]),
    classifiers=['Development Status :: 3 - Alpha',
                 'Intended Audience :: Developers',
                 'Intended Audience :: Science/Research',
                 'Programming Language :: Python :: 3.11',
                 'Programming Language :: Python :: 3.12',
                 'Topic :: Scientific/Engineering :: Artificial Intelligence'],
    zip_safe=False)

//! Demonstrations in Minari's HDF5 layout (Farama Foundation, minari 0.5): reading, writing,
//! summarising.
//!
//! A file holds one group per episode, `episode_<i>`, with `observations` (n + 1 rows), `actions`,
//! `rewards`, `terminations`, `truncations` (n rows) and `infos/…`. The environment is described in
//! Minari's JSON. Actions are in the environment's own units (the replay buffer's are in
//! `[-1, 1]`).
//!
//! [`Demonstrations::write`] to `dir/hopper.hdf5` writes that file, complete in itself: the
//! metadata is also an attribute of its root. Beside it goes the folder by which Python's Minari
//! finds a dataset, with a link to the file: `dir/hopper-v0/data/{main_data.hdf5, metadata.json}`.
//! So this works:
//! ```sh
//! MINARI_DATASETS_PATH=dir python -c 'import minari; print(minari.load_dataset("hopper-v0").total_steps)'
//! ```
//! A path that is already called `…/<name>-v0/data/main_data.hdf5` is written there, with its
//! `metadata.json`.
//!
//! [`Demonstrations::read`] takes such a file or such a folder, also one made by Minari, D4RL's flat
//! files, and robomimic's. Observations in parts (Gymnasium's Dict and Tuple) become one row of
//! numbers. All that a file says about its environment is held against the task.
//!
//! | file | content |
//! | --- | --- |
//! | `demonstrations`, `episode` | the data, their summary and checks |
//! | `config`, `local` | the setting that names a file or a dataset, with its exceptions; Minari's ids |
//! | `read`, `write` | from and to a file |
//! | `minari`, `d4rl`, `robomimic` | the layouts that are read |
//! | `table`, `space` | rows of numbers, of one array or of parts; spaces |
//! | `fit` | the file's description against the task |
//! | `metadata`, `python_json` | Minari's `metadata.json`, JSON with Python's infinities |
//! | `file`, `links` | typed arrays of an HDF5 file, links in it |

mod config;
mod d4rl;
mod demonstrations;
mod episode;
mod file;
mod fit;
mod links;
mod local;
mod metadata;
mod minari;
mod python_json;
mod read;
mod robomimic;
mod space;
mod table;
mod write;

pub use config::{Accept, DemonstrationsConfig, DemonstrationsDataset, DemonstrationsFile, DemonstrationsFormat};
pub use demonstrations::{DemoMeta, DemoSpec, DemoSummary, Demonstrations};
pub use episode::Episode;

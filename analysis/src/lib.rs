//! Statistics and figures from run folders.
//!
//! [`report`] compares the variants of a sweep on one page of HTML. [`plot`] draws one metric of
//! runs against environment steps, a curve for each variant, and writes the numbers as CSV. The
//! pieces are public: [`Run`] reads one folder, [`Curve`] aligns seeds, [`Figure`] draws. [`stats`]
//! and [`scores`] hold the estimators, and [`Bootstrap`] their intervals.

mod axes;
mod axis;
mod bootstrap;
mod curve;
mod draw;
mod error;
pub mod evidence;
mod figure;
mod forest;
mod importance;
mod labels;
mod names;
mod number;
mod panel;
mod peer;
mod permutation;
mod plot;
mod rank;
pub mod report;
mod run;
mod scale;
pub mod scores;
pub mod stats;
mod units;

pub use bootstrap::{Bootstrap, ConfidenceInterval};
pub use curve::{Band, Curve, CurvePoint};
pub use draw::PictureFormat;
pub use error::AnalysisError;
pub use figure::Figure;
pub use forest::{Forest, ForestColumn};
pub use importance::{Importance, SettingValues, importance};
pub use names::nearest;
pub use number::counted;
pub use panel::{Panel, ReferenceLine};
pub use peer::Peer;
pub use permutation::{holm, permutation_test};
pub use plot::{PlotOptions, PlotOutput, plot};
pub use rank::{kendall, spearman};
pub use run::{LastValue, Run, Warning, find_runs, variant_folder};
pub use scores::{Estimator, Scores, ScoresError};
pub use units::{known_patterns, unit_of};

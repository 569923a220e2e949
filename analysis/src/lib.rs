//! Statistics and figures from run folders.
//!
//! [`report`] compares the variants of a sweep on one page of HTML. [`plot`] finds the runs below some folders, groups the seeds of one variant, and draws one metric against
//! environment steps, with the numbers as CSV beside the picture. The pieces are public: [`Run`] reads one folder,
//! [`stats`] holds the estimators, [`Curve`] aligns seeds, [`Figure`] draws.

mod bootstrap;
mod chart;
mod curve;
mod draw;
mod error;
mod figure;
mod labels;
mod peer;
mod plot;
pub mod report;
mod run;
pub mod scores;
pub mod stats;

pub use bootstrap::{Bootstrap, ConfidenceInterval};
pub use chart::{Chart, ChartSeries};
pub use curve::{Band, Curve, CurvePoint};
pub use error::AnalysisError;
pub use figure::{Figure, Panel, PictureFormat, ReferenceLine};
pub use peer::Peer;
pub use plot::{PlotOptions, PlotOutput, plot};
pub use run::{Run, Warning, find_runs, variant_folder};
pub use scores::{Estimator, Scores, ScoresError};

//! Pages of results whose numbers come from committed logs.
//!
//! A list of claims (`docs/results/<page>.yaml`, [`Evidence`]) names sweeps, where their thinned logs
//! are kept, and what each claim says about which variants. [`keep`] takes over the logs of finished
//! runs. [`fill`] writes the tables between the page's markers, `<!-- claims -->` or
//! `<!-- table NAME -->`, and `<!-- end -->`. A test does it again and compares, so that no number in
//! them is typed by hand.

mod claims;
mod keep;
mod manifest;
mod page;
mod samples;
mod tables;

pub use keep::keep;
pub use manifest::{Claim, Column, Evidence, Expectation, Source, Table};
pub use page::fill;

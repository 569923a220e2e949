//! Feedback policies from demonstrations under a Lipschitz constraint (Al Makdah, Krishnan &
//! Pasqualetti 2022, arXiv 2103.16629):
//!
//!   min over π of (1/N) Σ ‖π(xᵢ) − uᵢ‖²  subject to  Lip₂(π) ≤ α.
//!
//! docs/feedback.md compares the methods; docs/derivations/lipschitz_layers.md has the proofs.
//!
//! | file | contents |
//! | --- | --- |
//! | `pairs` | the pairs that are learned from, and checks of them |
//! | `solved` | the policies `kirszbraun` and `graph`, without a network |
//! | `jacobian_penalty` | Jacobian norms of a perceptron and their gradient, by hand |
//! | `multipliers` | multipliers, and the points at which they act |
//! | `model` | free numbers, plain weights, Adam |
//! | `network` | gradient steps of the policies with a network |
//! | `policy` | the policy of either kind |
//! | `expert`, `expert_config` | experts and the episodes they demonstrate |
//! | `queries` | DAgger and DART |
//! | `measure` | metrics of evaluations |
//! | `learner` | the agent |
//!
//! Differs from the paper and its authors' code (of a 2020 paper on the same problem) in:
//! 1. constants are in the Euclidean norm and the environment's units;
//! 2. Adam and stochastic multipliers replace an integrated flow, or there is no network at all;
//! 3. a Lipschitz extension replaces the nearest vertex's value.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/mse` | mean over the batch of ‖π(x) − u‖², the environment's units |
//! | `train/loss` | the same plus the constraint's part |
//! | `train/constraint_loss` | mean λ g, or c max(0, g)² |
//! | `train/violated_share`, `train/violation_max` | share of the drawn points with g > 0, and the largest g |
//! | `train/grad_norm` | norm of the gradient, in the free numbers |
//! | `train/queried_rows` | rows that were queried from the expert |
//! | `lipschitz/alpha` | the configured α |
//! | `lipschitz/certified` | a proven constant of the policy, environment's units; the one that bounds use |
//! | `lipschitz/sampled` | largest ‖J‖₂ (for tables, slope) observed at the places below: a lower bound |
//! | `lipschitz/policy_jacobian/<where>/<statistic>` | ‖J‖₂ at `demonstrations`, `between` (fresh points between neighbours), `visited` |
//! | `lipschitz/violation/<where>` | largest ‖J‖₂ − α there, at least 0 |
//! | `lipschitz/duals/<statistic>` | multipliers; `lipschitz/duals/active` is the share above 0 |
//! | `lipschitz/complementary_slackness` | mean of \|λ g\| over demonstrated rows |
//! | `lipschitz/demonstration_mse` | (1/N) Σ ‖π(x) − u‖² over (at most some thousand) rows |
//! | `lipschitz/residual` | ê, the largest ‖π(x) − u‖ at those rows |
//! | `lipschitz/coverage` | δ: no point of the smallest box around those rows is further from one; for observations of up to 4 numbers |
//! | `lipschitz/expert_slope` | largest slope between two of those rows: a lower estimate of the expert's constant ℓ* |
//! | `lipschitz/forced_error` | error that the worst pair of rows forces on every α-Lipschitz policy |
//! | `lipschitz/oracle/mse`, `…/policy_mse` | least possible error with α at `oracle` rows, and the policy's there |
//! | `lipschitz/solved/mse`, `…/lower`, `…/constraints` | a solved policy's error at its rows, the solver's lower bound, constraints used |

mod config;
mod expert;
mod expert_config;
pub mod jacobian_penalty;
mod learner;
mod measure;
pub(crate) mod memory;
mod model;
mod multipliers;
mod network;
mod pairs;
mod policy;
mod queries;
mod solved;

pub use config::{ConstraintConfig, Duplicates, FeedbackConfig, Form, Normalise};
pub use expert::{ExpertPolicy, QueriedExpert, shown};
pub use expert_config::{ExpertConfig, QueriesConfig};
pub use learner::Feedback;

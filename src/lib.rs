//! `ganc` compiles generative adversarial networks written as their textbook writes them.
//!
//! Data flows one way, and each stage has its own type:
//!
//! ```text
//! Source -> ast::Spec -> Model -> Program of Graphs -> differentiated -> optimised -> Plan -> Compiled -> Session
//! ```

pub mod build;
pub mod cli;
pub mod codegen;
pub mod data;
pub mod diag;
pub mod driver;
pub mod eval;
pub mod grad;
pub mod graph;
pub mod judge;
pub mod kernels;
pub mod model;
pub mod opt;
pub mod output;
pub mod runtime;
pub mod schedule;
pub mod syntax;
pub mod train;

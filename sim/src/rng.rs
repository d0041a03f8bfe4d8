//! The seeded random numbers of simulations.

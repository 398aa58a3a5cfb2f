//! Scripts bound, plans and refusals read.

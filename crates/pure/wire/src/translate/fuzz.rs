//! What must hold of translations whatever they are fed.

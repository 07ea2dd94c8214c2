"""Guards judge every physical action before it is executed. One idea a file; `chain` folds them."""

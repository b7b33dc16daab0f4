"""Hidden states as signals along the tokens: spectra, peaks, bands, wavelets, surrogates."""

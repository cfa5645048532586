"""Filters on pictures: blend, blur, sharpen, quantize, edges, morphology, colour spaces."""

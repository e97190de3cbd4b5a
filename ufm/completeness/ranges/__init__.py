"""Lists of K = 4 classes, and of more at d = 1: a search over the ranges of W, which are lines or hyperplanes.

work            the proof as it goes, and the certificate
system          the equations of the points of rank 1 and K - 2; region: where u is; listed: the atlas's points there
inner, enclosed the inner unknowns, and what is proved of boxes; search: boxes cut until all are decided
check           the checker of certificates, in ball arithmetic: it shares no code with any of these
unknowns, equations, local, lowest  parts of the checker: what it shows of a box, and of listed points
"""

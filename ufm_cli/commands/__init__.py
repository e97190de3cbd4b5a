"""What `ufm` can be asked, a command a file."""

COMMANDS = {
    "verify": "check every theorem on one problem",
    "solve": "minimise once from a random start, with certificate and spectrum",
    "derive": "derive the closed forms from the objective: scale, threshold, spectra (text, LaTeX, JSON)",
    "atlas": "enumerate critical points, test that none is missing, draw the descents between them",
    "map": "map where local minimisers that are not global exist, over K, d and lambda; resumable",
    "phase": "map which groups of classes merge at the minimiser, over imbalance and lambda; resumable",
    "depth": "map the rank of deep linear models' best points, over K, L and lambda; resumable",
    "flow": "follow what happens as decays vanish: to SELI, without decay, along the central path",
    "bifurcations": "follow the critical points at d = 1 along rho or lambda_b through every event; draw the diagram",
    "train": "train a network, with every metric every epoch; resumable",
    "validate": "measure every checkpoint of a run (or a saved Point) and compare with theory",
    "reproduce": "run the paper's experiments, judge its claims by them, and record both; resumable",
    "check": "verify a certificate that an atlas is complete, by code of its own",
    "show": "print a result again, out of the file that a command wrote",
    "figures": "draw every figure of a run, or of several compared",
    "report": "one self-contained HTML page about a run",
}

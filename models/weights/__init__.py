"""Weights in files, whoever wrote them: read without running code, and fitted to a network strictly, in this order.

`kinds` (what a file is), `pickles` (what may stand in one), `files` (reading, writing, strict loading), `readings`
(which of the tensors are the network's), `states` (one file's weights of one network).
"""

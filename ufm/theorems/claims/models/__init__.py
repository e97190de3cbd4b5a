"""The claims about models beside the free one, a model a file; `common` has what several ask."""

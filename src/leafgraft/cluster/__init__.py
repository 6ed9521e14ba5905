"""The same work over the machines of a Ray cluster; nothing else imports Ray.

What is to be done is cut into parts of some dozen photos (`sources`); Ray Data hands the parts to processes on all
machines (`parts`), which keep their network for as long as they live (`work`) and write a file for each part; the files
are put together in order (`jobs`). The name of a part's file says what it was made from, so that a part which was
done twice is there once, and one that is done already is not done again.
"""

"""What Azure says before anything is bought: quota, VM sizes, prices. Read only; called by connection and cli.plan.

`survey` asks everything at once; `compute` and `retail` are the two services, `login` says who asks, `failures` puts
what went wrong into one sentence, `price_cache` keeps prices on disk. The SDKs are imported where they are used.
"""

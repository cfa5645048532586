"""The interface of AUTOMATIC1111's web UI: its requests as workflows.

``parameters`` reads requests, ``resources`` finds the models that they name, ``workflows`` builds the graph with
``control`` and ``inpainting``, ``infotext`` writes the parameters text, ``answers`` runs it. ``choices`` has the lists
that clients read, ``options`` the settings. Interface: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/API.
"""

"""Node packs written for ComfyUI: their nodes as Sumi's, and the modules that they import.

``class_nodes`` and ``schema_nodes`` make node types of their classes. ``provided`` gives the modules
``comfy``, ``folder_paths``, ``nodes``, ``server`` … their names, in a process that loads packs. These
are written for Sumi from what packs are seen to call; docs/compatibility.md says what there is.
"""

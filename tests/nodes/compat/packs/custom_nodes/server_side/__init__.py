"""A pack that uses the server: the run's client, the queue, and the current files of its own folder."""

import os
import threading

import folder_paths
from aiohttp import web
from comfy.cli_args import args
from PIL import Image

import nodes
from server import BinaryEventTypes, PromptServer

server = PromptServer.instance
NOTES = os.path.join(folder_paths.get_user_directory(), "notes")
os.makedirs(NOTES, exist_ok=True)


class Note:
    """A choice of the files that currently exist."""

    CATEGORY = "server_side"
    FUNCTION = "read"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        if "broken" in os.listdir(NOTES):
            raise OSError("the folder cannot be read")
        inputs = {"file": (["none", *sorted(os.listdir(NOTES))],)}
        if "loud" in inputs["file"][0]:
            inputs["times"] = ("INT", {"default": 2})
        return {"required": inputs}

    def __init__(self):
        self.calls = 0

    def read(self, file, times=1):
        self.calls += 1
        return (f"{file * times} {self.calls}",)


class Whose:
    """Returns facts about the run, and sends its client a message and a picture."""

    CATEGORY = "server_side"
    FUNCTION = "tell"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"salt": ("STRING", {"default": ""})}}

    def tell(self, salt):
        running, waiting = server.prompt_queue.get_current_queue()
        found = []
        asking = threading.Thread(target=lambda: found.append(server.last_prompt_id))
        asking.start()
        asking.join()
        server.send_sync("whose.run", {"salt": salt}, server.client_id)
        picture = Image.new("RGB", (64, 32))
        server.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, ("PNG", picture, 16), server.client_id)
        facts = {
            "client": server.client_id,
            "connected": server.client_id in server.sockets,
            "mine": found == [server.last_prompt_id] == [item[1] for item in running],
            "waiting": len(waiting),
            "remaining": server.prompt_queue.get_tasks_remaining(),
            "node": server.last_node_id,
            "listens": (args.port, args.cpu),
        }
        return (str(facts),)


class Stop:
    """Interrupts the run and continues itself."""

    CATEGORY = "server_side"
    FUNCTION = "stop"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"salt": ("STRING", {"default": ""})}}

    def stop(self, salt):
        nodes.interrupt_processing()
        return (salt,)


def fill_in(json_data):
    """Replace a name with a value before prompts are validated."""
    for node in json_data["prompt"].values():
        for name, value in node.get("inputs", {}).items():
            if value == "<the answer>":
                node["inputs"][name] = 42
    return json_data


def fail(json_data):
    raise RuntimeError("a handler that fails")


server.add_on_prompt_handler(fill_in)
server.add_on_prompt_handler(fail)


@server.routes.get("/server_side/history")
async def history(request):
    queue = server.prompt_queue
    found = queue.get_history(prompt_id=request.query["prompt_id"])
    return web.json_response({"of_it": list(found), "newest": list(queue.get_history(max_items=1))})


@server.routes.post("/server_side/queue")
async def queue_again(request):
    body = await request.json()
    server.prompt_queue.put((server.number, body["prompt_id"], body["prompt"], {}, body["outputs"]))
    return web.json_response({})


@server.routes.post("/server_side/drop")
async def drop(request):
    wanted = (await request.json())["prompt_id"]
    return web.json_response(server.prompt_queue.delete_queue_item(lambda item: item[1] == wanted))


@server.routes.post("/server_side/stop")
async def stop(request):
    nodes.interrupt_processing()
    return web.json_response({})


@server.routes.post("/server_side/size")
async def size(request):
    return web.Response(body=await request.read(), content_type="application/octet-stream")


@server.routes.get("/server_side/user")
async def user(request):
    return web.json_response(request.headers.get("comfy-user"))


@server.routes.get("/server_side/fail")
async def broken(request):
    raise RuntimeError("this route always fails")


@server.routes.get("/server_side/die")
async def die(request):
    os._exit(3)


NODE_CLASS_MAPPINGS = {"Note": Note, "Whose": Whose, "StopRun": Stop}

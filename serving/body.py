"""Request bodies, read up to a bound."""

from starlette.requests import Request

from serving.errors import BodyTooLarge


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return the body; what is larger than `most_bytes` is refused before it is held in memory.

    Raises
    ------
    BodyTooLarge
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():  # the server reads no more than was announced
        if int(announced) > most_bytes:
            raise BodyTooLarge(f"request body: {announced} bytes are more than {most_bytes}")
        return await request.body()
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > most_bytes:
            raise BodyTooLarge(f"request body: more than {most_bytes} bytes")
    return bytes(held)

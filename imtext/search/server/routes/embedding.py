"""Vectors of texts and pictures."""

from __future__ import annotations

from fastapi import APIRouter, Request

from imtext.search.server.messages import IMAGE_BODY, EmbeddedImage, EmbeddedTexts, TextsRequest
from imtext.search.server.routes.searching import read_upload
from imtext.search.server.service import Service


def embed_routes(service: Service) -> APIRouter:
    """`/embed/text` and `/embed/image`."""
    router = APIRouter(tags=["embed"])

    @router.post("/embed/text", summary="Texts to vectors")
    async def embed_text(request: TextsRequest) -> EmbeddedTexts:
        index = service.index
        vectors = await service.run(index.encoder.encode_texts, request.texts)
        return EmbeddedTexts(embeddings=vectors.tolist(), fingerprint=index.bundle.fingerprint)

    @router.post("/embed/image", summary="A picture to a vector", openapi_extra=IMAGE_BODY)
    async def embed_image(request: Request) -> EmbeddedImage:
        vector, index = await service.run(service.embed_upload, await read_upload(request))
        return EmbeddedImage(embedding=vector.tolist(), fingerprint=index.bundle.fingerprint)

    return router
